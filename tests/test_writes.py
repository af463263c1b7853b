"""`os.fsync` of the tests: it waits for nothing, and refuses what the system refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from corpusmill.pipelines.system.process import sync
from tests import writes
from tests.warm import Warm


def test_a_file_that_is_closed_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        os.fsync(file)
        number = file.fileno()
        os.fsync(number)
    with pytest.raises(OSError) as caught:
        os.fsync(number)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")


def test_processes_that_fork_wait_for_no_disk_either(warm: Warm) -> None:
    assert os.fsync is writes._checked
    done = warm.call("--help", code="import os, sys; sys.exit(os.fsync.__module__ != 'tests.writes')")
    assert done.returncode == 0
