"""Whole tokens from shares: what everyone is asked for adds up to the budget, and caps are kept."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.plan.division import below_caps, divided, unimax


@pytest.mark.parametrize(
    ("budget", "shares", "asked"),
    [
        (3, {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}, {"a": 1, "b": 1, "c": 1, "d": 0}),
        (1, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 1, "b": 0, "c": 0}),
        (4, {"a": 0.125, "b": 0.375, "c": 0.5, "d": 0.0}, {"a": 1, "b": 1, "c": 2, "d": 0}),
        (5, {"a": 0.0, "b": 0.0}, {"a": 0, "b": 0}),
    ],
)
def test_what_is_asked_adds_up_to_the_budget(
    budget: int, shares: dict[str, float], asked: dict[str, int]
) -> None:
    assert divided(budget, shares) == asked


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=9).filter(any), st.integers(1, 2**50))
def test_every_source_is_asked_for_its_share_rounded_up_or_down(tokens: list[int], budget: int) -> None:
    total = sum(tokens)
    shares = {f"s{at}": count / total for at, count in enumerate(tokens)}
    asked = divided(budget, shares)
    assert sum(asked.values()) == budget
    whole = sum(map(Fraction, shares.values()))
    for source, share in shares.items():
        assert abs(asked[source] - budget * Fraction(share) / whole) < 1
    # Without a budget, everything is asked for: shares that floats hold only nearly take no token of another.
    assert list(divided(total, shares).values()) == tokens


shares_and_caps = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 2**40)), min_size=1, max_size=9
).filter(lambda pairs: any(weight for weight, _ in pairs))


@settings(deadline=None, max_examples=200)
@given(shares_and_caps, st.integers(0, 2**42))
def test_below_caps_no_cap_is_exceeded_and_shares_below_them_are_as_asked(
    pairs: list[tuple[int, int]], budget: int
) -> None:
    shares = {f"s{at}": weight for at, (weight, _) in enumerate(pairs)}
    caps = {f"s{at}": cap for at, (_, cap) in enumerate(pairs)}
    found = below_caps(budget, shares, caps)
    room = sum(cap for name, cap in caps.items() if shares[name])
    assert sum(found.values()) == min(budget, room)
    assert all(found[name] <= cap for name, cap in caps.items())
    assert all(found[name] == 0 for name, share in shares.items() if share == 0)
    below = [name for name in shares if shares[name] and found[name] < caps[name]]
    for one in below:
        for other in shares:  # per share, whoever is below its cap has no less than anyone, but for rounding
            if shares[other]:
                assert found[one] + 1 >= Fraction(found[other] - 1, shares[other]) * shares[one]


def test_unimax_is_even_where_no_cap_is_in_the_way() -> None:
    """The example of Chung et al. 2023, algorithm 1: budgets are spread from the smallest language on."""
    assert unimax(90, {"a": 5, "b": 100, "c": 100}) == {"a": 5, "b": 43, "c": 42}
    assert unimax(90, {"a": 50, "b": 100, "c": 100}) == {"a": 30, "b": 30, "c": 30}


def unimax_by_the_paper(budget: int, caps: dict[str, int]) -> dict[str, Fraction]:
    """Algorithm 1 of the paper, with `caps` for N times the characters of a language."""
    left, found = Fraction(budget), {}
    ordered = sorted(caps, key=lambda name: caps[name])
    for at, name in enumerate(ordered):
        found[name] = min(Fraction(caps[name]), left / (len(ordered) - at))
        left -= found[name]
    return found


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=9), st.integers(0, 10**7))
def test_unimax_is_the_algorithm_of_the_paper_in_whole_tokens(sizes: list[int], budget: int) -> None:
    caps = {f"s{at}": size for at, size in enumerate(sizes)}
    expected, found = unimax_by_the_paper(budget, caps), unimax(budget, caps)
    assert sum(found.values()) == budget  # what the caps do not allow is asked all the same, and told
    if budget <= sum(sizes):
        assert all(abs(found[name] - expected[name]) < 1 for name in caps)
