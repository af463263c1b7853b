"""Kernels of later steps, compiled by one more process while the workers are busy with the first ones.

On a machine that has no compiled kernels yet (see `kernel_cache`), the workers of a step want the same ones
at the same moment: one compiles and the others wait. This process uses that time. It begins with the last
step, so that it meets the workers once. What it compiles is cached for every process, and changes no output.

Operators that have kernels, and stages of corpusmill, are compiled ahead: what plugins do before a run needs
them is not known here. A file `ahead-PLACE/MODULE.CLASS` or `ahead-PLACE/OPERATOR` in the cache says that the
kernels are there; where all have one, no process is started. It ends with the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import xxhash

import corpusmill
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.engines.isolation import child_environment, python_command
from corpusmill.pipelines.run.operators.operator import no_kernels, operator_named
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.system.kernel_cache import use_kernel_cache

_CODE = "from corpusmill.pipelines.run.compile_ahead import main; main()"


@contextmanager
def compiling_ahead(steps: Sequence[Step], log: IO[bytes]) -> Iterator[None]:
    """Compile what the `steps` need, last step first, until the context is left; errors go to `log`."""
    use_kernel_cache()
    wanted = _wanted(steps)
    if not wanted:
        yield
        return
    process = subprocess.Popen(
        python_command(_CODE),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=child_environment(os.environ),
    )
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):  # it has ended; its error is in the log
            told = [one if isinstance(one, str) else encode(one) for one in wanted]
            process.stdin.write(json.dumps(told).encode())
            process.stdin.close()
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """The process: reads specifications of stages, and names of operators, on standard input; warms each."""
    from corpusmill.pipelines.run.engines.worker import die_with_parent
    from corpusmill.pipelines.run.operators.job import build_stage

    die_with_parent()
    use_kernel_cache()
    for value in json.loads(sys.stdin.buffer.read()):
        if isinstance(value, str):
            operator_named(value).warm()
            mark = _mark(value)
        else:
            spec = decode(StageSpec, value, "standard input")
            build_stage(spec).warm()
            mark = _mark(spec)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _wanted(steps: Sequence[Step]) -> list[StageSpec | str]:
    """What is not marked as compiled, last step first: specifications of stages, one of a class, and names of
    operators."""
    found: dict[Path, StageSpec | str] = {}
    for step in reversed(steps):
        if step.operator.warm is not no_kernels:
            found.setdefault(_mark(step.operator.name), step.operator.name)
        for spec in step.stages:
            if spec.module.startswith("corpusmill."):
                found.setdefault(_mark(spec), spec)
    return [one for mark, one in found.items() if not mark.exists()]


def _mark(of: StageSpec | str) -> Path:
    """numba keeps code by the place of its source, so every installation has marks of its own."""
    place = xxhash.xxh3_64_hexdigest(os.fsencode(os.path.realpath(corpusmill.__file__)))
    return (
        Path(os.environ["NUMBA_CACHE_DIR"])
        / f"ahead-{place}"
        / (of if isinstance(of, str) else f"{of.module}.{of.cls}")
    )
