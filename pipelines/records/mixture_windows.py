"""How evenly shards hold their mixture: shares of sources by shard, and by window of the training order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceShares:
    """One source in all windows of one size: its share of a window's tokens, padding left out.

    `asked`: the share that the mixture asks of the phase, None where it is not known; `share`: that of all
    tokens of the phase. Any window holds `bound_least` to `bound_most` (see `WindowShares`), and those of the
    first epoch hold `least`, in the window that begins at sample `least_at` of the phase, to `most`.
    """

    source: str
    asked: float | None
    share: float
    bound_least: float
    least: float
    least_at: int
    most: float
    most_at: int
    bound_most: float

    @property
    def within(self) -> bool:
        """Whether all windows lie within the bound; figures are rounded in the last place."""
        return self.bound_least - 1e-12 <= self.least and self.most <= self.bound_most + 1e-12


@dataclass(frozen=True)
class WindowShares:
    """All windows of `sequences` samples that follow one another in an epoch of one phase.

    Of all seeded orders of these samples, the part `chance` at most has a window outside of a bound."""

    sequences: int
    windows: int
    chance: float
    sources: tuple[SourceShares, ...]

    @property
    def within(self) -> bool:
        """Whether every window lies within the bounds of all sources."""
        return all(source.within for source in self.sources)


@dataclass(frozen=True)
class PhaseShares:
    """One phase: `samples` of `context` tokens an epoch, `fill` of them no padding. `windows` by size; none
    where the phase has one source only, or fewer samples than any size asked for."""

    number: int
    name: str | None
    samples: int
    context: int
    fill: float
    windows: tuple[WindowShares, ...]


@dataclass(frozen=True)
class ShardShares:
    """Shares of sources of one shard's tokens; `source` is the one whose share is furthest from its phase's,
    by `off` (None where the shard is empty)."""

    shard: str
    phase: int
    tokens: int
    shares: Mapping[str, float]
    source: str | None
    off: float | None


@dataclass(frozen=True)
class MixtureWindows:
    """Phases in their order, and shards: all in their order, or of many those that are furthest off, and how
    many are left out. `order`: that of the samples, in words."""

    order: str
    phases: tuple[PhaseShares, ...]
    shards: tuple[ShardShares, ...]
    more_shards: int

    @property
    def within(self) -> bool:
        """Whether every window lies within its bounds."""
        return all(window.within for phase in self.phases for window in phase.windows)
