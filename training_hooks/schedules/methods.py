"""The schedules by name, and what the report says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from corpusmill.training_hooks.schedules.actions import Schedule
from corpusmill.training_hooks.schedules.dualpipe import dualpipe, dualpipev
from corpusmill.training_hooks.schedules.one_way import one_f_one_b, zb1p
from corpusmill.training_hooks.schedules.simulate import Times

METHODS: Mapping[str, Callable[[int, int], Schedule]] = MappingProxyType(
    {"1f1b": one_f_one_b, "zb1p": zb1p, "dualpipe": dualpipe, "dualpipev": dualpipev}
)
MOST = 1_000_000  # chunks times ranks: every pass is an object, so many take minutes and gigabytes


def made(method: str, ranks: int, chunks: int) -> Schedule:
    """The schedule of `METHODS` by name. Raises ValueError for numbers that it cannot have, and for more than
    `MOST` chunks times ranks; KeyError for a method there is not."""
    if ranks * chunks > MOST:
        raise ValueError(
            f"{chunks:,} chunks on {ranks:,} ranks are more than {MOST:,} chunks times ranks, the most "
            "that is simulated: take fewer chunks or ranks"
        )
    return METHODS[method](ranks, chunks)


@dataclass(frozen=True)
class Stated:
    """A row of the report's table of bubbles (section 3.2.1) in numbers: the `bubble` of a rank in the unit
    of the times, how many ranks have each stage, and the most activations of a rank, each of one chunk in one
    stage."""

    bubble: float
    parameters: int
    activations: int


def stated(method: str, ranks: int, times: Times) -> Stated:
    """The row of `method` for `ranks` ranks. `times` are those of one stage: with DualPipeV, which has two
    stages a rank, of half as much of the model as with the others. The report has no row for DualPipeV: it is
    that of a DualPipe with twice as many ranks, each stage on one rank.

    Raises KeyError for a method there is not.
    """
    f, b, w, fb = times.forward, times.backward, times.weight, times.overlapped
    match method:
        case "1f1b":
            return Stated((ranks - 1) * (f + b), 1, ranks)
        case "zb1p":
            return Stated((ranks - 1) * (f + b - 2 * w), 1, ranks)
        case "dualpipe":
            return Stated((ranks / 2 - 1) * (fb + b - 3 * w), 2, ranks + 1)
        case "dualpipev":
            return Stated((ranks - 1) * (fb + b - 3 * w), 1, 2 * ranks + 1)
    raise KeyError(f"no schedule {method!r}; there are {', '.join(METHODS)}")
