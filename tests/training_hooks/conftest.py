"""`write(name, rows, **metadata)`: a token shard in the test's own folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest

from tests.oracles.training_shards import Writer, write_rows

# Read once by the thread library as torch is imported: waiting threads sleep rather than spin, which on a
# machine busy with other work makes small two-threaded steps many times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(autouse=True)
def quick_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak of the machine measured on a small product: a run in a test is shorter than the usual one."""
    from corpusmill.training_hooks.trainer import flops

    monkeypatch.setitem(flops.SIZE, "cpu", 64)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, which spin where the machine is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def writer(name: str, rows: npt.ArrayLike, **changed: Any) -> Path:
        return write_rows(tmp_path / name, rows, **changed)

    return writer
