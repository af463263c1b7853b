"""What a recipe may require of its tokenizer, and what is missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.pipelines.contract.closest import closest, listed
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.tokenizer_figures import GroupFigures, Judged, TokenizerFigures

Positive = Annotated[float, Field(gt=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Requirements(BaseModel):
    """Thresholds of acceptance. That every text comes back as it was is always required.

    Groups are named `*` (all held-out documents), `SOURCE`, `SOURCE/LANGUAGE`, `*/LANGUAGE`, and likewise
    with a code language; a group of which there is no text is an error, so that a mistyped name cannot pass.
    `unused` falls with the amount of held-out text: set it with one run's figures before you.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes_per_token: dict[str, Positive] = Field(
        default_factory=dict, description="Fewest UTF-8 bytes per token, by group."
    )
    fertility: dict[str, Positive] = Field(
        default_factory=dict,
        description="Most tokens that share a byte with a word, by group (Rust et al. 2021).",
    )
    continued_words: dict[str, Share] = Field(
        default_factory=dict,
        description="Largest share of words of more than one token, by group (Rust et al. 2021).",
    )
    unused: Share | None = Field(
        None, description="Largest share of the entries of more than one byte that never occur."
    )
    unreachable: int | None = Field(
        None, ge=0, description="Most entries that encoding their own text does not give back."
    )
    traces: int | None = Field(
        None,
        ge=0,
        description="Most entries that look like an e-mail, URL, IP address, phone number, key or 7 digits.",
    )
    digit_group: int | None = Field(None, ge=1, description="Most digits in one token.")
    against: dict[str, dict[str, Positive]] = Field(
        default_factory=dict,
        description="Least multiple of a reference's bytes per token, by reference, then by group.",
    )


_CURES = {
    "bytes_per_token": "raise vocab_size or the group's share of the training sample (`budgets`)",
    "fertility": "raise vocab_size or the group's share of the training sample (`budgets`)",
    "continued_words": "raise vocab_size or the group's share of the training sample (`budgets`)",
    "unused": "lower vocab_size, or hold out more text to measure on (`held_out`)",
    "unreachable": "choose a pre-tokenizer that can produce these entries, or allow for them",
    "traces": "filter or mask such strings before training, or raise min_frequency",
    "digit_group": "set `digits` of the pre_tokenizer",
    "against": "raise vocab_size or the group's share of the training sample (`budgets`)",
}


def judge(
    required: Requirements, figures: TokenizerFigures, groups: Sequence[GroupFigures]
) -> tuple[Judged, ...]:
    """Every threshold with its value.

    `figures` are one tokenizer's of `evaluate`, `groups` its groups as `compared` gives them. A value that
    cannot be measured (no words in a group) counts as missed. Raises UserError naming a group that does not
    exist, KeyError for a reference that `groups` were not compared with.
    """
    by_name = {group.group: group for group in groups}
    trip = figures.round_trip
    altered = by_name["*"].altered_documents if by_name else 0
    wrong = trip.code_points_changed + len(trip.bytes_without_token) + altered
    wrong += trip.characters_spelt_wrong or 0
    lossless = "give a byte-level BPE without normalisation"
    found = [_judged("round_trip", "every text", wrong, 0, False, lossless)]
    for what, at_least in (("bytes_per_token", True), ("fertility", False), ("continued_words", False)):
        for group, limit in sorted(getattr(required, what).items()):
            value = getattr(_group(by_name, group, f"require.{what}"), what)
            found.append(_judged(what, group, value, limit, at_least, _CURES[what]))
    single = {
        "unused": figures.usage.unused_share if figures.usage is not None else None,
        "unreachable": figures.suspicious.unreachable.count,
        "traces": figures.suspicious.traces.count,
        "digit_group": figures.digits.largest_group,
    }
    for what, value in single.items():
        limit = getattr(required, what)
        if limit is not None:
            found.append(_judged(what, "vocabulary", value, limit, False, _CURES[what]))
    for reference, limits in sorted(required.against.items()):
        for group, limit in sorted(limits.items()):
            against = _group(by_name, group, f"require.against.{reference}").against or {}
            found.append(
                _judged(f"against {reference}", group, against[reference], limit, True, _CURES["against"])
            )
    return tuple(found)


def _judged(what: str, group: str, value: float | None, limit: float, at_least: bool, cure: str) -> Judged:
    met = value is not None and (value >= limit if at_least else value <= limit)
    return Judged(what, group, value, limit, at_least, met, cure)


def _group(by_name: Mapping[str, GroupFigures], group: str, where: str) -> GroupFigures:
    if group not in by_name:
        raise UserError(
            f"{where}: no held-out text of the group {group!r}; {nearest(group, by_name)}; "
            "correct the name, or hold out more (`held_out`)"
        )
    return by_name[group]


def nearest(name: str, valid: Mapping[str, Any]) -> str:
    """The valid name most like `name`, if any is, and all of them (at most 40)."""
    names = sorted(valid)
    close = closest(name, names)
    there = f"there are: {listed(names)}" if names else "there are none"
    return f"did you mean {close!r}? ({there})" if close is not None else there


def told(miss: Judged) -> str:
    """A missed threshold in one line: value, limit and cure."""
    value = "not measurable" if miss.value is None else f"{miss.value:.4g}"
    bound = "at least" if miss.at_least else "at most"
    return f"{miss.what} of {miss.group}: {value}, required {bound} {miss.limit:.4g}; {miss.cure}"
