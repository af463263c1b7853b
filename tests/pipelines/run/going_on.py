"""A run that is stopped and goes on, and what its driver did before the first unit."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run import runner
from corpusmill.pipelines.run.engines.engine import Order
from corpusmill.pipelines.run.engines.inline import InlineEngine
from corpusmill.pipelines.run.runner import Runner

T = TypeVar("T")

UNITS, DOCUMENTS = 12, 60  # documents of each unit
RECIPE = """
name: going-on
engine: {{kind: inline}}
{lines}
sources:
  a: {{read: {{jsonl: {{files: a.jsonl, split_bytes: {split}}}}}}}
dedup: [exact]
"""


class StoppedError(Exception):
    """The run was to do so many units and no more."""


class Stopping(InlineEngine):
    """Does `units` units and raises StoppedError; `first` is called before them."""

    def __init__(self, units: int, first: Callable[[], object]) -> None:
        super().__init__()
        self._left, self._first, self._begun = units, first, False

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        if not self._begun:
            self._begun = True
            self._first()
        if not self._left:
            raise StoppedError
        self._left -= 1
        super().submit(batch, memory)


def write(folder: Path, megabytes: float, lines: str = "") -> Path:
    """A recipe whose one file has so many megabytes that do not compress, in as many units and documents for
    any size."""
    folder.mkdir()
    draw, size = random.Random(5), int(megabytes * 1e6 / (DOCUMENTS * UNITS))
    with (folder / "a.jsonl").open("w") as file:
        for number in range(DOCUMENTS * UNITS):
            text = b64encode(draw.randbytes(size * 3 // 4)).decode()
            file.write(json.dumps({"id": f"{number:04d}", "text": text}) + "\n")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(split=DOCUMENTS * size, lines=lines))
    return path


def go_on(recipe: Path, units: int, before: Callable[[], T], monkeypatch: pytest.MonkeyPatch) -> tuple[T, T]:
    """What `before()` gave as the run began and just before its first unit; so many units are done."""
    found = [before()]
    monkeypatch.setattr(runner, "make_engine", lambda *_: Stopping(units, lambda: found.append(before())))
    with pytest.raises(StoppedError):
        Runner(load_recipe(recipe, inputs=True)).run()
    began, first = found
    return began, first
