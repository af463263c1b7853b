"""`write(name, rows, **metadata)`: a token shard in the test's own folder; `training`: forks that train."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest

from tests.oracles.training_shards import Writer, write_rows
from tests.warm import Warm

# Read once by the thread library as torch is imported: waiting threads sleep rather than spin, which on a
# machine busy with other work makes small two-threaded steps many times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


# torch, all that training imports, and its kernels. No gradient: torch refuses one in a fork of a process
# that has computed one.
READY_TO_TRAIN = """
import importlib, pkgutil
import numpy as np
import torch
import corpusmill.training_hooks as room
torch.set_num_threads(1)
for name in ("evaluation", "kernels", "loading", "model", "precision", "trainer"):
    package = importlib.import_module(f"{room.__name__}.{name}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
from corpusmill.training_hooks.kernels import expert_sums
row, place, weight = np.ones((1, 4), np.float32), np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32)
expert_sums.weighted_sum(row, place, weight, row.copy(), 0, 1)
expert_sums.weighted_sum_gradient(row, row, place, weight, row.copy(), weight.copy(), 0, 1)
"""


@pytest.fixture(scope="session")
def training() -> Iterator[Warm]:
    """As `warm`, of a process that has imported all that training needs: real deaths, without seconds of
    imports for each."""
    process = Warm(READY_TO_TRAIN)
    yield process
    process.close()


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
