"""Of the processes that want a kernel at once, one compiles it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
from corpusmill.pipelines.text.compiled import compiled

@compiled
def inner(value):
    return value + value

@compiled
def outer(value):
    return inner(value) + int(inner(value + 0.5))
"""
WANT = """
import sys
sys.path.insert(0, sys.argv[1])
import kernel_of_the_test as kernel
print("ready", flush=True)
sys.stdin.readline()
result = kernel.outer(5)
misses = [sum(f.stats.cache_misses.values()) for f in (kernel.outer, kernel.inner)]
print(result, *misses, flush=True)
"""


def test_one_process_compiles_and_the_others_load(tmp_path: Path) -> None:
    (tmp_path / "kernel_of_the_test.py").write_text(KERNEL)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", WANT, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = []
    for process in processes:  # all of them wait for this line, so they want the kernels at once
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0
        told.append([int(word) for word in output.split()])
    assert {result for result, _, _ in told} == {21}
    # Two kinds of numbers reach `inner`: whole ones and others.
    assert [sum(column) for column in zip(*told, strict=True)][1:] == [1, 2]


def test_what_cannot_be_compiled_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.errors import TypingError

    from corpusmill.pipelines.text.one_compiler import OneCompiler

    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "kernel_that_fails.py").write_text(KERNEL)
    import kernel_that_fails as kernel

    with pytest.raises(TypingError):
        kernel.outer("not an array")
    for function in (kernel.outer, kernel.inner):
        cache = function._cache
        assert isinstance(cache, OneCompiler)
        descriptor = os.open(cache.lock, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where the lock is held
        finally:
            os.close(descriptor)
    assert kernel.outer(5) == 21


def test_a_folder_that_cannot_be_locked_is_compiled_in_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("corpusmill.pipelines.text.one_compiler.fcntl.flock", refuse)
    (tmp_path / "kernel_without_locks.py").write_text(KERNEL)
    import kernel_without_locks as kernel

    assert kernel.outer(5) == 21
