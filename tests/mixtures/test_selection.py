"""What the sources are asked for, and what is taken of one of which there is nothing."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.plan.selection import EDGE, divided, select, wants


def test_what_is_not_measured_is_absent() -> None:
    """Epochs of a source of no tokens, and shares of a mixture of none, have no value; 0 would be one."""
    nothing = wants([{}], {"a": 1.0}, 0, 4)
    (one,) = select(nothing, EDGE.empty_table(), {}, 4, 0).values()
    assert (one.epochs, one.share, one.tokens) == (None, None, 0)
    measures = {"b": np.array([[10], [1], [30]], np.int64)}
    both = wants([measures], {"a": 0.5, "b": 0.5}, 10, 0.0)
    found = select(both, EDGE.empty_table(), {}, 0.0, 10)
    assert (found["a"].epochs, found["b"].epochs) == (None, 0.0)
    assert (found["a"].share, found["b"].share) == (None, None)


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


def test_a_share_under_one_token_that_others_take_is_told() -> None:
    measures = {name: np.array([[10], [1], [30]], np.int64) for name in "abcd"}
    wanted = wants([measures], dict.fromkeys("abcd", 0.25), 3, 4)
    assert [want.requested_tokens for want in wanted.values()] == [1, 1, 1, 0]
    edge = EDGE.empty_table().from_pylist(
        [
            {"source": name, "draw": 5, "id": name, "unit": 0, "row": 0, "tokens": 10, "bytes": 30}
            for name in "abc"
        ],
        EDGE,
    )
    found = select(wanted, edge, {}, 4, 3)
    assert sum(one.tokens for one in found.values()) == 3
    assert [one.cause for one in found.values()] == [None, None, None, "rounding"]
    assert "its share, 0.25 of 3 tokens, is less than one token" in (found["d"].shortfall or "")
