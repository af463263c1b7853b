"""Whole tokens from shares: largest remainders, even shares under caps, and shares moved below caps."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

Share = float | Fraction | int


def divided(budget: int, shares: Mapping[str, Share]) -> dict[str, int]:
    """`budget` tokens by name, which add up to it: each one's share rounded down, and one more for those that
    lose most by it, of equal ones for the first by name (the method of largest remainders). Shares need not
    add up to 1; those of 0 get nothing, and where all are, nobody gets anything."""
    total = sum(Fraction(share) for share in shares.values())
    exact = {name: budget * Fraction(share) / total for name, share in shares.items() if share > 0}
    found = {name: int(exact.get(name, 0)) for name in shares}
    left = budget - sum(found.values()) if exact else 0
    for name in sorted(exact, key=lambda name: (found[name] - exact[name], name))[:left]:
        found[name] += 1
    return found


def below_caps(budget: int, shares: Mapping[str, Share], caps: Mapping[str, int]) -> dict[str, int]:
    """`budget` tokens by name, as near to `shares` as `caps` allow, and less where they allow no more.

    Whoever would get more than its cap gets the cap, and what is left is divided among the others by their
    shares. Of all divisions below the caps it is the one in which the shares of those below their caps are as
    they are asked, one to the other. Time: n log n.
    """
    found = dict.fromkeys(shares, 0)
    open_ = {name: Fraction(share) for name, share in shares.items() if share > 0}
    weight, left = sum(open_.values()), budget
    # In this order everyone who is above its cap comes before everyone who is not.
    for name in sorted(open_, key=lambda name: (caps[name] / open_[name], name)):
        if left * open_[name] < caps[name] * weight:
            break
        found[name] = min(caps[name], left)
        left -= found[name]
        weight -= open_.pop(name)
    # No remainder lifts one of them above its cap: its share is below the cap, which is a whole number.
    return found | divided(left, open_)


def unimax(budget: int, caps: Mapping[str, int]) -> dict[str, int]:
    """Even shares under caps: UniMax (Chung et al. 2023, arXiv 2304.09151, algorithm 1), where a cap is
    `max_epochs` times what a language has. Where the caps allow less than the budget, what they do not allow
    is asked evenly of all beyond them, so that what is asked adds up to the budget."""
    found = below_caps(budget, dict.fromkeys(caps, 1), caps)
    beyond = divided(budget - sum(found.values()), dict.fromkeys(caps, 1))
    return {name: tokens + beyond[name] for name, tokens in found.items()}
