"""What a block keeps from one document to the next, put back before each.

What becomes of a document must not depend on those before it: which they are follows from how the input is
cut. Numbers that a block counts with are put back to their first values, and its random generators begin anew
from the recipe's seed and the document's id. Sets, lists and mappings that a block fills are not put back:
they may hold what it loaded.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import xxhash

_DEPTH = 4


class KeptState:
    """The numbers and generators of a block, of the objects it holds that are of its own package as well."""

    def __init__(self, block: Any, seed: int, salt: str) -> None:
        self._salt = f"{seed}\0{salt}"
        self._packages = {type(block).__module__.split(".")[0], "datatrove"}
        self._numbers: list[tuple[Any, str, int | float]] = []
        self._generators: list[np.random.Generator | random.Random] = []
        self._look(block, _DEPTH, set())

    def _look(self, holder: Any, depth: int, seen: set[int]) -> None:
        if id(holder) in seen:
            return
        seen.add(id(holder))
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if name != "stats":
                self._take(holder, name, value, depth, seen)

    def _take(self, holder: Any, name: str, value: Any, depth: int, seen: set[int]) -> None:
        value = getattr(value, "__self__", value)  # of a bound method, such as a generator's `uniform`
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._numbers.append((holder, name, value))
        elif isinstance(value, (np.random.Generator, random.Random)):
            self._generators.append(value)
        elif depth and type(value).__module__.split(".")[0] in self._packages:
            self._look(value, depth - 1, seen)
        elif depth and isinstance(value, (list, tuple)):
            for item in value[:64]:
                if type(item).__module__.split(".")[0] in self._packages:
                    self._look(item, depth - 1, seen)

    def put_back(self, document: str) -> None:
        """As it was at first, and random for the document of this id."""
        for holder, name, value in self._numbers:
            setattr(holder, name, value)
        seed = xxhash.xxh3_128_intdigest(f"{self._salt}\0{document}".encode())
        for generator in self._generators:
            if isinstance(generator, random.Random):
                generator.seed(seed)
            else:
                generator.bit_generator.state = type(generator.bit_generator)(seed).state
        random.seed(seed)
        np.random.seed(seed % 2**32)  # a block may use it


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """The state of Python's and numpy's global generators is the same after as before."""
    pythons, numpys = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)
