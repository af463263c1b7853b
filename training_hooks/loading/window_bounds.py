"""How far a source's share of a window of samples may lie from its share of all, with a stated chance.

A seeded order is a random permutation of the R samples of a phase, so any N places of it hold a sample of N
drawn without replacement. Let t be a source's tokens of a sample and f all its tokens, both over the places T
of a sample: 0 <= t <= f <= 1. q is the source's share of all tokens, F the mean of f. A window's share is

    sum t / sum f >= q + e   if and only if   mean of z >= 0, with z = t - (q + e) f,

and z lies in an interval of length 1, from -(q + e) to 1 - (q + e), with the mean -e F over all samples. So:

- Serfling 1974, corollary 1.1 (Annals of Statistics 2, 39-48): the chance is at most
  exp(-2 N (e F)^2 / (1 - (N - 1) / R)).
- Hoeffding 1963, theorem 1, which section 6 carries over to draws without replacement (Journal of the
  American Statistical Association 58, 13-30): at most exp(-N KL(q + e, q + e - e F)), where KL(a, b) is
  a ln(a / b) + (1 - a) ln((1 - a) / (1 - b)); closer than Serfling's for sources of small share.

Below, the share of all other sources is above by as much. Both are stated for one window; chances of several
add up (the union bound), so a chance for all W windows is divided by W before.
"""

from __future__ import annotations

from math import log, sqrt

_HALVINGS = 60


def bounds(share: float, fill: float, size: int, of: int, chance: float) -> tuple[float, float]:
    """The least and most share of a source in a window of `size` samples drawn of `of`, each missed with at
    most `chance`, where it has `share` of all tokens and `fill` (above 0) of all places hold tokens."""
    return 1 - _most(1 - share, fill, size, of, chance), _most(share, fill, size, of, chance)


def _most(share: float, fill: float, size: int, of: int, chance: float) -> float:
    if size >= of:
        return share
    needed = -log(chance)
    serfling = share + sqrt(needed * (1 - (size - 1) / of) / (2 * size)) / fill
    return min(1.0, serfling, _hoeffding(share, fill, size, needed))


def _hoeffding(share: float, fill: float, size: int, needed: float) -> float:
    """The smallest share found by halving whose exponent is large enough; 1 where none is."""
    low, high = share, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if size * _divergence(middle, middle - (middle - share) * fill) >= needed:
            high = middle
        else:
            low = middle
    return high


def _divergence(a: float, b: float) -> float:
    """Kullback and Leibler's, of a coin that falls with a from one that falls with b; a > b."""
    if a <= b or b <= 0:
        return 0.0 if a <= b else float("inf")
    return a * log(a / b) + ((1 - a) * log((1 - a) / (1 - b)) if a < 1 else 0.0)
