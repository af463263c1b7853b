"""Tensors of a checkpoint in safetensors files: whole ones by their names, or ranges of them from many ranks.

A range is one flat tensor under `NAME@START`; the header's metadata has the shapes of what its ranges are of.
So a file tells by itself what it holds, and any process can put together what it needs, in ranges of other
sizes than they were written in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import IntegrityError

_MARK = "@"


class StoredRange(NamedTuple):
    """Numbers of the flattened tensor `name`, of `shape`, from number `start` on."""

    name: str
    shape: tuple[int, ...]
    start: int
    numbers: Tensor


def write_ranges(path: Path, ranges: Iterable[StoredRange]) -> None:
    """A file of ranges; those that are all of their tensor are written as that."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, shape, start, numbers in ranges:
        flat = numbers.detach().reshape(-1)
        if flat.numel() == math.prod(shape):
            tensors[name] = flat.view(shape)
        else:
            tensors[f"{name}{_MARK}{start}"] = flat
            shapes[name] = list(shape)
    on_cpu = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
    save_file(on_cpu, path, metadata={"shapes": json.dumps(shapes, sort_keys=True)})


class _Stored(NamedTuple):
    start: int
    stop: int
    file: Any
    key: str
    whole: bool


class StoredTensors:
    """What `files` hold, read when it is asked for. A context manager. `shapes` of all by name.

    Raises IntegrityError for a range whose shape no file tells.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        from safetensors import safe_open

        self._stack = ExitStack()
        self._found: dict[str, list[_Stored]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for path in files:
            file = self._stack.enter_context(safe_open(path, framework="pt"))
            shapes = json.loads((file.metadata() or {}).get("shapes", "{}"))
            for key in file.keys():  # noqa: SIM118 - not a mapping
                name, mark, start = key.partition(_MARK)
                size = tuple(file.get_slice(key).get_shape())
                if mark and name not in shapes:
                    raise IntegrityError(f"{path}: {key} is a range of a tensor of unknown shape")
                self.shapes[name] = tuple(shapes[name]) if mark else size
                begin = int(start) if mark else 0
                stored = _Stored(begin, begin + math.prod(size), file, key, not mark)
                self._found.setdefault(name, []).append(stored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def whole(self, name: str) -> Tensor:
        """The tensor, in memory of its own. Raises IntegrityError where numbers of it are missing."""
        shape = self.shapes[name]
        return self.range(name, 0, math.prod(shape)).view(shape)

    def all(self) -> dict[str, Tensor]:
        """All tensors."""
        return {name: self.whole(name) for name in sorted(self._found)}

    def range(self, name: str, start: int, stop: int) -> Tensor:
        """Numbers [start, stop) of the flattened tensor, in memory of their own. Raises IntegrityError where
        some are missing."""
        parts: list[Tensor] = []
        at = start
        for stored in sorted(self._found.get(name, ()), key=lambda one: one.start):
            if stored.start <= at < min(stop, stored.stop):
                end = min(stop, stored.stop)
                cut = slice(at - stored.start, end - stored.start)
                if stored.whole:
                    parts.append(stored.file.get_tensor(stored.key).reshape(-1)[cut])
                else:
                    parts.append(stored.file.get_slice(stored.key)[cut])
                at = end
        if at < stop:
            raise IntegrityError(f"the checkpoint has no numbers {at} to {stop - 1} of {name}")
        return torch.cat(parts) if len(parts) != 1 else parts[0].clone()


def named(tensors: Mapping[str, Tensor]) -> list[StoredRange]:
    """Whole tensors as ranges."""
    return [StoredRange(name, tuple(t.shape), 0, t) for name, t in tensors.items()]
