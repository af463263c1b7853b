"""What a misspelt name may have meant, in bounded time: names come from recipes, folders, command lines."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_LONGEST = 64  # characters; the comparison is quadratic in them
_MOST_COMPARED = 256
_MOST_LISTED = 40


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name most like `name`; None where none is like it.

    Names of more than `_LONGEST` characters are like none; of very many valid names only the first
    `_MOST_COMPARED` of about the same length are compared.
    """
    if len(name) > _LONGEST:
        return None
    # Names whose lengths differ more than threefold cannot reach the cutoff (difflib: 2 matches / lengths).
    longest, shortest = min(_LONGEST, 3 * len(name)), len(name) / 3
    near = (other for other in valid if shortest <= len(other) <= longest)
    found = get_close_matches(name, islice(near, _MOST_COMPARED), n=1, cutoff=0.5)
    return found[0] if found else None


def listed(names: Iterable[str]) -> str:
    """Names in a row for a message; of very many the first and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _MOST_LISTED:,} more" if len(every) > _MOST_LISTED else ""
    return ", ".join(every[:_MOST_LISTED]) + more


def nearest(name: str, valid: Iterable[str]) -> str:
    """A phrase that helps on: `did you mean X?` where something is close, then every valid name."""
    names = sorted(valid)
    close = closest(name, names)
    there = f"there are: {listed(names)}" if names else "there are none"
    return f"did you mean `{close}`? ({there})" if close is not None else there
