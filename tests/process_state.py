"""What tests of one process share, held the same before every test, and checked after it.

Which tests share a process, and in which order they run, is up to the command that runs them, so no test
may find what another has left. Generators of random numbers start from the same seed and no plugin is
registered; the environment, the working directory, import paths, loggers, signal handlers and the settings of
libraries are as they were. Tests change them through `monkeypatch`, or put them back.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.pipelines.contract import plugins

# in any order.
NOT_OURS = (
    *("PYTEST_", "KMP_", "OMP_", "CUBLAS_", "RAY_", "TORCHINDUCTOR_", "TORCH_", "TRITON_"),
    "TOKENIZERS_PARALLELISM",
)

State = dict[str, Any]


def same_start() -> None:
    """Before a test: no plugins, and global generators that start from the same place."""
    plugins.clear_plugins()
    random.seed(20)
    np.random.seed(20)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(20)


def look() -> State:
    """What a test must leave as it was, by a name for the message."""
    state: State = {
        "environment": {k: v for k, v in os.environ.items() if not k.startswith(NOT_OURS)},
        "working directory": Path.cwd(),
        "sys.path": list(sys.path),
        "recursion limit": sys.getrecursionlimit(),
        "signal handlers": {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)},
        "loggers": {name: _logger(name) for name in ("corpusmill", "corpusmill.run")},
    }
    state["loggers"]["root"] = _logger(None)
    if "pyarrow" in sys.modules:
        pyarrow = sys.modules["pyarrow"]
        state["pyarrow threads"] = (pyarrow.cpu_count(), pyarrow.io_thread_count())
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        state["torch"] = {
            "threads": torch.get_num_threads(),
            "default dtype": torch.get_default_dtype(),
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "gradients": torch.is_grad_enabled(),
            "precision of float32 products": torch.get_float32_matmul_precision(),
        }
    return state


def _logger(name: str | None) -> tuple[Any, ...]:
    logger = logging.getLogger(name)
    ours = [handler for handler in logger.handlers if not type(handler).__module__.startswith("_pytest")]
    return logger.level, logger.disabled, logger.propagate, ours


def put_back(before: State) -> list[str]:
    """Undo what a test changed; returns a line for each thing it left changed.

    What a library that was imported meanwhile has set is taken as it is.
    """
    after = look()
    left = []
    for name, was in before.items():
        if after[name] == was:
            continue
        left.append(f"{name}: {_difference(was, after[name])}")
        if name in _UNDO:
            _UNDO[name](was)
    return left


def _difference(was: Any, found: Any) -> str:
    if not isinstance(was, dict):
        return f"{was} -> {found}"
    changed = [key for key in sorted({*was, *found}, key=str) if was.get(key) != found.get(key)]
    return ", ".join(f"{key}: {was.get(key)} -> {found.get(key)}" for key in changed)


def _put_environment(was: dict[str, str]) -> None:
    for name in set(os.environ) - set(was):
        if not name.startswith(NOT_OURS):
            del os.environ[name]
    os.environ.update(was)


def _put_path(was: list[str]) -> None:
    sys.path[:] = was


def _put_handlers(was: dict[int, Any]) -> None:
    for number, handler in was.items():
        signal.signal(number, handler)


_UNDO: dict[str, Callable[[Any], object]] = {
    "environment": _put_environment,
    "working directory": os.chdir,
    "sys.path": _put_path,
    "recursion limit": sys.setrecursionlimit,
    "signal handlers": _put_handlers,
}
