"""Devices by name: the figures that a plan's times and memory rest on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_MOST = 1e30  # of any figure, so that times and bytes stay numbers that a float can tell


@dataclass(frozen=True)
class Hardware:
    """One device and its links. Raises ValueError for figures below 1 or over 1e30.

    - `bf16`, `fp8`: operations a second of dense products at best.
    - `memory`: bytes.
    - `within`, `across`: bytes a second that one device sends to others of its node and of other nodes, as
      measured, not as sold.
    - `multiprocessors`, and `for_messages` of them, which move tokens and do not compute where messages and
      products run side by side.
    """

    bf16: float
    fp8: float
    memory: float
    within: float
    across: float
    multiprocessors: int
    for_messages: int

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field.name} must be a positive number, got {value!r}")
            if not 1 <= value <= _MOST:
                raise ValueError(f"{field.name} must be 1 to {_MOST:g}, got {value!r}")
        if self.for_messages >= self.multiprocessors:
            raise ValueError("for_messages must leave multiprocessors to compute")

    def with_changes(self, changes: Mapping[str, Any]) -> Hardware:
        """The device with some figures replaced. Raises ValueError for names that are no figure."""
        names = [field.name for field in dataclasses.fields(self)]
        if strange := sorted(changes.keys() - set(names)):
            raise ValueError(f"no figure {strange[0]!r} of hardware; there are {', '.join(names)}")
        return dataclasses.replace(self, **changes)


# Peaks and memory: Nvidia's data sheets, products without sparsity. Links of the H800: section 3.2.2 of the
# report (NVLink 160 GB/s, InfiniBand 50 GB/s), and its 20 of 132 multiprocessors. The others' NVLink is taken
# at the same share of what is sold, 160 of 200 GB/s one way.
_H800 = Hardware(
    bf16=989e12, fp8=1979e12, memory=80e9, within=160e9, across=50e9, multiprocessors=132, for_messages=20
)
HARDWARE: Mapping[str, Hardware] = MappingProxyType(
    {
        "h800": _H800,
        "h100": dataclasses.replace(_H800, within=360e9),
        "h200": dataclasses.replace(_H800, within=360e9, memory=141e9),
    }
)
