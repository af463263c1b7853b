"""A run that goes on trusts receipts: what it reads before its first unit does not grow with the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.pipelines.run.going_on import UNITS, go_on, write

_IO = Path("/proc/self/io")


def read_so_far() -> int:
    """Bytes that this process has read by calls, from files or from anywhere."""
    return int(_IO.read_text().split("rchar: ")[1].split()[0])


@pytest.mark.skipif(not _IO.exists(), reason="the system does not count what a process reads")
def test_what_is_read_before_the_first_unit_does_not_grow_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, int] = {}
    committed: dict[str, int] = {}
    for name, megabytes in (("warm", 1.2), ("small", 1.2), ("large", 40)):  # the first one imports modules
        recipe = write(tmp_path / name, megabytes)
        run = tmp_path / name / "runs" / "going-on"
        go_on(recipe, UNITS + UNITS // 3, read_so_far, monkeypatch)
        data = [path for path in run.glob("steps/a/*/data/*") if path.is_file()]
        committed[name] = sum(path.stat().st_size for path in data)
        for path in data:  # nobody may look into them
            size = path.stat().st_size
            os.truncate(path, 0)
            os.truncate(path, size)
        pointer = (run / "current.json").stat()
        before, after = go_on(recipe, 0, read_so_far, monkeypatch)
        read[name] = after - before
        assert (run / "current.json").stat().st_ino == pointer.st_ino  # nothing is new, so it stays
    assert committed["large"] > 20e6
    assert committed["small"] < 2e6
    assert read["large"] < 250_000  # of which the first 128 KiB of the input, whose fields are looked at
    assert read["large"] - read["small"] < 10_000
