"""The mixer of `text.mixing`, compiled."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.text.compiled import inlined
from corpusmill.pipelines.text.mixing import MURMUR3, SPLITMIX64, mixed

_mixed = inlined(mixed)


@inlined
def mix(value: Any) -> Any:
    """A uint64, mixed with the constants of SplitMix64."""
    return _mixed(value, SPLITMIX64)


@inlined
def avalanche(value: Any) -> Any:
    """A uint64, mixed with the constants of MurmurHash3."""
    return _mixed(value, MURMUR3)
