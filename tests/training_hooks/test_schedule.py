"""Schedules at the report's own numbers (section 4.2), and scaled to other budgets."""

from __future__ import annotations

import math
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.training_hooks.trainer.options import usual_gamma
from corpusmill.training_hooks.trainer.schedule import (
    Kind,
    Schedule,
    report_steps,
    schedule,
    usual_warmup,
)

T = 1e12
WARMUP = 28e9  # about 2,000 steps of its smallest batches


def report(scale: float = 1.0) -> Schedule:
    return Schedule("report", 14.8 * T * scale, WARMUP * scale, 2.2e-4, 15360, 0.001, 0.3)


@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize(
    ("trillions", "rate"),
    [
        (0.0, 0.0),
        (0.014, 1.1e-4),
        (0.028, 2.2e-4),
        (5.0, 2.2e-4),
        (10.0, 2.2e-4),
        (12.15, (2.2e-4 + 2.2e-5) / 2),
        (14.3, 2.2e-5),
        (14.633, 2.2e-5),
        (14.634, 7.3e-6),
        (14.8, 7.3e-6),
        (20.0, 7.3e-6),
    ],
)
def test_learning_rate_of_the_report(trillions: float, rate: float, scale: float) -> None:
    assert report(scale).learning_rate(trillions * T * scale) == pytest.approx(rate, rel=1e-9, abs=1e-12)


def test_the_rate_is_continuous_but_for_the_last_drop() -> None:
    plan = report()
    grid = [14.8 * T * i / 20_000 for i in range(20_001)]
    rates = [plan.learning_rate(at) for at in grid]
    jumps = [
        at / T
        for at, one, two in zip(grid, rates, rates[1:], strict=False)
        if at > WARMUP and abs(two - one) > 2.2e-4 / 1000
    ]
    assert len(jumps) == 1
    assert jumps[0] == pytest.approx(14.633, abs=1e-3)


def test_batch_gamma_and_lambda_of_the_report() -> None:
    plan = report()
    assert [plan.sequences(t * T) for t in (0, 0.2345, 0.469, 1, 14.8)] == [3072, 9216, 15360, 15360, 15360]
    assert [plan.bias_step(t * T) for t in (0.1, 14.3, 14.31, 14.8)] == [0.001, 0.001, 0.0, 0.0]
    assert [plan.depth_weight(t * T) for t in (0.1, 10, 10.01)] == pytest.approx([0.3, 0.3, 0.1])


def test_steps_of_the_report_as_it_would_have_run() -> None:
    """Its 14.8T tokens, batch by batch: the closed form of the number of steps, and its warm-up in tokens."""
    plan, taken, seen = report(), 0, 0
    warmup = 0
    for first, count in plan.steps(4096):
        if plan.sequences(first * 4096) == 15360:
            break
        taken, seen = taken + 1, first + count
        warmup = seen * 4096 if taken == 2000 else warmup
    taken += round((14.8 * T - seen * 4096) / (15360 * 4096))
    assert report_steps() == pytest.approx(taken, rel=1e-3)
    assert 2.4e5 < taken < 2.45e5
    assert pytest.approx(WARMUP, rel=0.01) == warmup


def test_cosine() -> None:
    plan = Schedule("cosine", 1100, 100, 2.0, 8, 0.01, 0.3)
    assert [plan.learning_rate(t) for t in (50, 100, 600, 1100, 9999)] == pytest.approx(
        [1.0, 2.0, 1.1, 0.2, 0.2]
    )
    assert Schedule("cosine", 10, 0, 2.0, 8, 0.0, 0.3).learning_rate(0) == 2.0
    assert [plan.sequences(t) for t in (0, 500)] == [8, 8]
    assert [plan.bias_step(1100), plan.depth_weight(1100)] == [0.01, 0.3]


def made(kind: Kind, steps: int, batch: int, warmup: int | None = 0) -> Schedule:
    return schedule(
        kind, steps=steps, batch=batch, context=32, warmup_steps=warmup, peak=1.0, gamma=0.1, mtp_weight=0.3
    )


@given(steps=st.integers(1, 3000), batch=st.integers(1, 700))
def test_the_budget_is_what_the_steps_use_up(steps: int, batch: int) -> None:
    plan = made("report", steps, batch)
    used = list(islice(plan.steps(32), steps))
    total = sum(count for _, count in used) * 32
    assert [first for first, _ in used[1:]] == [first + count for first, count in used[:-1]]
    assert plan.total <= total
    assert total - plan.total < batch * 32  # less than a step beyond
    sizes = [count for _, count in used]
    assert sizes == sorted(sizes)
    assert used[-1][1] == batch or steps < 40
    assert plan.learning_rate(total) == pytest.approx(7.3e-6 / 2.2e-4)


def test_a_batch_is_rounded_and_never_empty() -> None:
    assert [made("report", 500, batch).sequences(0) for batch in (1, 2, 4, 8, 10)] == [1, 1, 1, 2, 2]


def test_a_cosine_run_has_equal_steps_and_ends_at_a_tenth() -> None:
    plan = made("cosine", 200, 8, None)
    assert plan.total == 200 * 8 * 32
    assert plan.warmup == 10 * 8 * 32
    assert plan.learning_rate(plan.total) == pytest.approx(0.1)


def test_warmup_and_gamma_of_other_lengths() -> None:
    assert [usual_warmup(n) for n in (1, 200, 24_280, 242_800)] == [10, 10, 200, 2000]
    assert [usual_gamma(n) for n in (1, 200, 1000, 4000, 235_000)] == [0.02, 0.02, 0.004, 0.001, 0.001]
    assert math.isclose(usual_gamma(1000) * 1000, usual_gamma(400) * 400)
