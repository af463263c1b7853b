"""How a budget of bytes is shared among strata: the documents of one language in one source each."""

from __future__ import annotations

from collections.abc import Mapping

from corpusmill.pipelines.contract.errors import UserError

Stratum = tuple[str, str]  # source, language


def shared(sizes: Mapping[Stratum, int], budget: int, exponent: float) -> dict[Stratum, int]:
    """Bytes for each stratum of `sizes`, at most its size, together at most `budget`.

    Shares are in proportion to size ** exponent; strata smaller than their share are taken whole, and the
    others share what they leave (water-filling). Exponents under 1 favour small strata, as in Conneau and
    Lample (2019, "Cross-lingual Language Model Pretraining", section 3.1).
    """
    given = dict.fromkeys(sizes, 0)
    waiting = sorted(stratum for stratum, size in sizes.items() if size)
    left = budget
    while waiting:
        weights = {stratum: float(sizes[stratum]) ** exponent for stratum in waiting}
        whole = sum(weights.values())
        shares = {stratum: int(left * (weights[stratum] / whole)) for stratum in waiting}
        if sum(sizes[stratum] for stratum in waiting) <= left:
            shares = {stratum: sizes[stratum] for stratum in waiting}
        small = [stratum for stratum in waiting if sizes[stratum] <= shares[stratum]]
        for stratum in small or waiting:
            given[stratum] = min(sizes[stratum], shares[stratum])
            left -= given[stratum]
        waiting = [stratum for stratum in waiting if stratum not in small] if small else []
    return given


def allotted(
    sizes: Mapping[Stratum, int], budget: int, own: Mapping[str, int], exponent: float
) -> dict[Stratum, int]:
    """Bytes for each stratum where some have budgets of their `own`, by "source" or "source/language".

    A source's own budget is shared among those of its strata that have none; what own budgets leave of
    `budget` is shared among all others. Raises UserError for a key that names nothing in `sizes`.
    """
    names = {f"{source}/{lang}": (source, lang) for source, lang in sizes}
    sources = sorted({source for source, _ in sizes})
    unknown = sorted(key for key in own if key not in names and key not in sources)
    if unknown:
        raise UserError(
            f"budgets names {', '.join(unknown)}, of which there are no documents; there are "
            f"{', '.join([*sources, *sorted(names)])}"
        )
    given = {names[key]: min(bytes_, sizes[names[key]]) for key, bytes_ in own.items() if key in names}
    for source in sources:
        if source in own:
            rest = {each: size for each, size in sizes.items() if each[0] == source and each not in given}
            given.update(shared(rest, own[source], exponent))
    rest = {each: size for each, size in sizes.items() if each not in given}
    given.update(shared(rest, max(0, budget - sum(given.values())), exponent))
    return given
