"""Weights fitted to small runs: tables, regression, proposals within what sources can give, reuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.mixtures.commands.mixture_fit import mixture_fit
from corpusmill.mixtures.fit.draws import drawn
from corpusmill.mixtures.fit.proposal import lowest, simulated, within_caps
from corpusmill.mixtures.fit.reuse import reuse_of
from corpusmill.mixtures.fit.run_table import Floats, RunTable, read_table, write_table
from corpusmill.mixtures.fit.supply import Supply, read_mapping, supply_file, write_supply
from corpusmill.mixtures.fit.surrogate import Surrogate, choose, fit, rank_correlation
from corpusmill.pipelines.contract.errors import DataError, UserError

SOURCES = ("code", "math", "web")
ALL = np.array([1.0])


def _mixtures(count: int, seed: int = 5) -> Floats:
    prior = np.array([0.2, 0.1, 0.7])
    return np.stack([drawn(prior, np.ones(3), number, seed) for number in range(count)])


def _table(losses: Floats, weights: Floats) -> RunTable:
    names = tuple(str(number) for number in range(len(weights)))
    measures = tuple(f"m{number}" for number in range(losses.shape[1]))
    return RunTable(names, SOURCES, measures, weights, losses)


def test_a_table_is_read_as_written(tmp_path: Path) -> None:
    weights = _mixtures(7)
    table = _table(weights @ np.array([[1.0, 2.0], [0.3, 0.1], [1.7, 0.2]]), weights)
    write_table(tmp_path / "t.csv", table)
    again = read_table(tmp_path / "t.csv")
    assert (again.names, again.sources, again.measures) == (table.names, table.sources, table.measures)
    np.testing.assert_allclose(again.weights, table.weights, rtol=1e-15)
    assert (again.losses == table.losses).all()


# The example of two files in the documentation of allenai/olmix.
RATIOS = """run,dclm,wikipedia,arxiv
run_001,0.45,0.30,0.25
run_002,0.60,0.20,0.20
run_003,0.33,0.33,0.34
"""
METRICS = """run,name,arc_challenge_bpb,hellaswag_bpb,mmlu_stem_bpb
run_003,third,1.20,0.89,1.42
run_001,first,1.23,0.87,1.45
run_002,second,1.15,0.91,1.38
"""


def test_two_files_of_olmix_form_are_joined(tmp_path: Path) -> None:
    (tmp_path / "ratios.csv").write_text(RATIOS)
    (tmp_path / "metrics.csv").write_text(METRICS)
    table = read_table(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    assert table.sources == ("dclm", "wikipedia", "arxiv")
    assert table.measures == ("arc_challenge_bpb", "hellaswag_bpb", "mmlu_stem_bpb")
    assert table.losses.tolist() == [[1.23, 0.87, 1.45], [1.15, 0.91, 1.38], [1.20, 0.89, 1.42]]
    value = np.full(3, 1 / 3)
    for form in ("linear", "log_linear"):
        predicted = fit(table, form, 1e-6).predict(table.weights) @ value  # type: ignore[arg-type]
        assert predicted.argsort().tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run,weight.a,weight.b,loss.x\n0,0.5,0.6,1\n", "line 2: weights must be 0 or more and add up to 1"),
        ("run,weight.a,weight.b,loss.x\n0,0.5,0.5,nan\n", "line 2, column loss.x: 'nan' is no number"),
        ("run,weight.a,weight.b,loss.x\n0,0.5,0.5\n", "line 2: 3 fields, the header has 4"),
        ("run,weight.a,loss.x\n0,1,1\n", "line 1: a table needs at least two columns"),
        ("run,weight.a,weight.a,loss.x\n", "column weight.a stands there twice"),
    ],
)
def test_a_wrong_table_is_told_by_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=r"t\.csv") as caught:
        read_table(tmp_path / "t.csv")
    assert words in str(caught.value)


def test_each_form_finds_its_own_coefficients() -> None:
    weights = _mixtures(24)
    slope = np.array([[-0.9], [0.2], [0.4]])
    curved = fit(_table(0.6 + np.exp(weights @ slope), weights), "log_linear", 1e-9)
    np.testing.assert_allclose(curved.floor, [0.6], atol=1e-3)
    np.testing.assert_allclose(curved.slope, slope, atol=5e-3)
    straight = fit(_table(weights @ slope + 2.0, weights), "linear", 1e-9)
    np.testing.assert_allclose(straight.predict(weights), weights @ slope + 2.0, atol=1e-5)


@pytest.mark.parametrize("form", ["linear", "log_linear"])
def test_the_form_of_the_losses_is_chosen(form: str) -> None:
    weights = _mixtures(24)
    inner = weights @ np.array([[-3.0, 0.5], [1.0, -2.0], [2.0, 1.0]])
    losses = 3.0 + inner if form == "linear" else 0.5 + np.exp(inner)
    surrogate, prediction = choose(_table(losses, weights), np.array([0.5, 0.5]))
    assert surrogate.form == form
    assert prediction.error < 0.1 * prediction.error_of_mean
    assert prediction.rank_correlation > 0.99


def test_noise_alone_is_not_predicted() -> None:
    weights = _mixtures(30)
    noise = np.random.default_rng(3).normal(1.0, 0.1, (30, 1))
    _, prediction = choose(_table(noise, weights), ALL)
    assert prediction.error > 0.9 * prediction.error_of_mean


@st.composite
def _problems(draw: st.DrawFn) -> tuple[Floats, Floats, Floats, float]:
    """Slopes, a prior, caps that can be met, and a penalty."""
    sources = draw(st.integers(2, 5))
    share = st.floats(0.02, 1.0)
    prior = np.array(draw(st.lists(share, min_size=sources, max_size=sources)))
    cap = np.array(draw(st.lists(share, min_size=sources, max_size=sources)))
    cap = np.minimum(cap * max(1.0, 1.2 / cap.sum()), 1.0)
    if cap.sum() < 1.0:
        cap = np.ones(sources)
    slope = np.array(draw(st.lists(st.floats(-2.0, 2.0), min_size=sources, max_size=sources)))
    return slope[:, None], prior / prior.sum(), cap, draw(st.sampled_from([0.0, 0.05, 0.5]))


@given(problem=_problems())
def test_no_mixture_within_the_caps_is_better(problem: tuple[Floats, Floats, Floats, float]) -> None:
    slope, prior, cap, kl = problem
    surrogate = Surrogate("log_linear", 0.0, np.array([0.3]), slope)
    best = lowest(surrogate, ALL, prior, cap, kl)
    assert abs(best.sum() - 1.0) < 1e-9
    assert (best <= cap + 1e-9).all()

    def value(weights: Floats) -> float:
        away = float(np.sum(weights * np.log(np.maximum(weights, 1e-12) / prior)))
        return float(surrogate.predict(weights[None])[0, 0]) + kl * away

    others = np.random.default_rng(1).dirichlet(np.ones(len(prior)), 200)
    assert all(value(best) <= value(within_caps(one, cap)) + 1e-6 for one in others)


@given(
    shares=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6).filter(lambda one: sum(one) > 0.01),
    tight=st.floats(1.0, 3.0),
)
def test_caps_are_kept_and_shares_add_up(shares: list[float], tight: float) -> None:
    cap = np.minimum(np.full(len(shares), tight / len(shares)), 1.0)
    found = within_caps(np.array(shares), cap)
    assert abs(found.sum() - 1.0) < 1e-9
    assert (found <= cap + 1e-12).all()


def test_draws_keep_caps_and_do_not_change_with_their_number() -> None:
    prior, cap = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.9, 0.5, 0.4, 1.0])
    many = np.stack([drawn(prior, cap, number, 9) for number in range(300)])
    np.testing.assert_allclose(many.sum(axis=1), 1.0)
    assert (many <= cap + 1e-12).all()
    assert (many[:, 3] == 0).all()
    np.testing.assert_allclose(many[0], prior)
    np.testing.assert_allclose(many[17], drawn(prior, cap, 17, 9))
    assert many[1:].std(axis=0)[:3].min() > 0.1
    with pytest.raises(UserError, match=r"can give only 80.0% of the tokens"):
        drawn(prior, np.array([0.4, 0.2, 0.2, 1.0]), 1, 9)


def test_the_search_by_draws_finds_about_the_same() -> None:
    surrogate = Surrogate("log_linear", 0.0, np.array([0.3]), np.array([[-2.0], [0.5], [0.1]]))
    found = simulated(surrogate, ALL, _mixtures(4000))
    assert found.argmax() == 0
    assert found[0] > 0.9


def test_a_proposal_on_planted_losses(tmp_path: Path) -> None:
    """Bits per byte of three sources fall with their own share, and the best mixture is known by search."""
    weights = _mixtures(24)
    slopes = np.array([[-1.5, 0.2, 0.3], [0.1, -0.8, 0.2], [0.2, 0.1, -0.5]])
    losses = 0.4 + np.exp(weights @ slopes)
    noisy = losses + np.random.default_rng(2).normal(0.0, 0.004, losses.shape)
    path = tmp_path / "t.csv"
    write_table(path, _table(noisy, weights))
    write_supply(supply_file(path), Supply({"code": 400, "math": 100, "web": 2000}, 1000, 2.0))
    found = mixture_fit(path, kl=0.0)
    assert found.form == "log_linear"
    assert found.prior_from == "shares of the tokens in t.csv.sources.yaml"
    assert found.shares["math"].most == pytest.approx(0.2)
    proposed = np.array([found.shares[name].weight for name in SOURCES])
    grid = np.array([(a, b, 1 - a - b) for a in np.linspace(0, 0.8, 81) for b in np.linspace(0, 0.2, 21)])
    true = (0.4 + np.exp(grid @ slopes)).mean(axis=1)
    reached = float((0.4 + np.exp(proposed @ slopes)).mean())
    assert reached < true.min() + 0.002
    assert found.gain.low > 0
    assert not found.warnings
    assert mixture_fit(path, kl=0.0) == found
    near = mixture_fit(path, kl=10.0)
    assert near.shares["web"].weight == pytest.approx(0.8, abs=0.02)


def test_earlier_ratios_are_reused(tmp_path: Path) -> None:
    earlier = {"math": 0.2, "web": 0.6, "code": 0.2}
    kept = reuse_of(SOURCES, earlier, ["code"])
    weights = kept.spread(np.array([[share, 1 - share] for share in np.linspace(0.0, 1.0, 11)]))
    np.testing.assert_allclose(weights[:-1, 2] / weights[:-1, 1], 3.0)
    losses = (weights - np.array([0.3, 0.2, 0.5])) @ np.array([[-1.0], [0.2], [0.4]]) + 1.0
    path, old = tmp_path / "t.csv", tmp_path / "old.yaml"
    write_table(path, _table(losses, weights))
    old.write_text("weights: {math: 0.2, web: 0.6, code: 0.2}\n")
    found = mixture_fit(path, reuse=old, changed=["code"], kl=0.05)
    assert found.reused == ("math", "web")
    assert found.shares["web"].weight == pytest.approx(3 * found.shares["math"].weight)
    assert sum(share.weight for share in found.shares.values()) == pytest.approx(1.0)
    write_table(path, _table(losses, _mixtures(11)))
    with pytest.raises(DataError, match="does not keep the ratios"):
        mixture_fit(path, reuse=old, changed=["code"])
    with pytest.raises(UserError, match="changed source coed"):
        mixture_fit(path, reuse=old, changed=["coed"])


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e9])
def test_losses_of_any_magnitude_lead_to_the_same_mixture(size: float) -> None:
    prior, cap = np.array([0.2, 0.1, 0.7]), np.array([0.6, 1.0, 1.0])
    surrogate = Surrogate("linear", 0.0, np.zeros(1), size * np.array([[-1.0], [0.5], [2.0]]))
    found = lowest(surrogate, ALL, prior, cap, 0.1 * size)
    near = lowest(Surrogate("linear", 0.0, np.zeros(1), surrogate.slope / size), ALL, prior, cap, 0.1)
    np.testing.assert_allclose(found, near, atol=1e-4)
    assert found[0] == pytest.approx(0.6)


def test_a_share_that_never_varies_is_told(tmp_path: Path) -> None:
    share = np.linspace(0.0, 0.7, 20)
    weights = np.column_stack([share, 0.7 - share, np.full(20, 0.3)])
    write_table(tmp_path / "t.csv", _table(weights @ np.array([[1.0], [2.0], [0.5]]), weights))
    assert any("the share of web hardly varies" in one for one in mixture_fit(tmp_path / "t.csv").warnings)


def test_too_few_runs_are_refused(tmp_path: Path) -> None:
    weights = _mixtures(4)
    write_table(tmp_path / "t.csv", _table(weights[:, :1], weights))
    with pytest.raises(UserError, match="4 runs tell too little of 3 shares: train at least 5, better 12"):
        mixture_fit(tmp_path / "t.csv")


def test_rank_correlation_of_ties() -> None:
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 9.0])) == pytest.approx(1.0)
    assert rank_correlation(np.array([1.0, 1.0, 3.0]), np.array([1.0, 1.0, 0.0])) == pytest.approx(-1.0)
    assert rank_correlation(np.array([1.0, 1.0]), np.array([0.0, 1.0])) == 0.0


def test_runs_that_were_not_fitted_are_predicted(tmp_path: Path) -> None:
    weights = np.random.default_rng(4).dirichlet(np.ones(3), 26)
    truth = np.array([[1.0, 2.0], [0.3, 0.1], [1.7, 0.2]])
    losses = weights @ truth
    write_table(tmp_path / "fitted.csv", _table(losses[:20], weights[:20]))
    others = RunTable(  # columns in another order
        tuple("abcdef"), SOURCES[::-1], ("m1", "m0"), weights[20:, ::-1], losses[20:, ::-1] + [0.0, 0.5]
    )
    write_table(tmp_path / "unseen.csv", others)
    found = mixture_fit(tmp_path / "fitted.csv", unseen=tmp_path / "unseen.csv", values={"m1": 1.0}).unseen
    assert found is not None
    assert list(found.runs) == list("abcdef")
    assert found.error < 1e-3 < found.error_of_mean
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.error_by_measure["m0"] == pytest.approx(0.5, abs=1e-3)
    assert found.runs["a"].measured == pytest.approx(losses[20, 1])
    with pytest.raises(UserError, match="was fitted, so it tells nothing"):
        mixture_fit(tmp_path / "fitted.csv", unseen=tmp_path / "fitted.csv")
    write_table(tmp_path / "less.csv", _table(losses[20:, :1], weights[20:]))
    with pytest.raises(DataError, match="same sources and losses: code, math, web; m0, m1"):
        mixture_fit(tmp_path / "fitted.csv", unseen=tmp_path / "less.csv")


def test_runs_of_one_mixture_are_told(tmp_path: Path) -> None:
    weights = np.random.default_rng(4).dirichlet(np.ones(3), 11)[[*range(11), 3, 3, 4, 5, 6]]
    write_table(tmp_path / "t.csv", _table(weights @ np.array([[1.0], [0.3], [1.7]]), weights))
    assert any("16 runs are of 11 mixtures" in words for words in mixture_fit(tmp_path / "t.csv").warnings)


def test_columns_of_unseen_runs_are_matched_where_ratios_are_reused(tmp_path: Path) -> None:
    """In whatever order they stand; sources that are missing are told, not taken for others."""
    draw = np.random.default_rng(6)
    new = draw.uniform(0.1, 0.6, 16)
    weights = np.column_stack([new, (1 - new) * 0.25, (1 - new) * 0.75])  # code, math, web
    losses = weights @ np.array([[1.0], [0.3], [1.7]])
    (tmp_path / "earlier.yaml").write_text("{math: 1, web: 3}")
    write_table(tmp_path / "fitted.csv", _table(losses[:12], weights[:12]))
    others = RunTable(tuple("abcd"), SOURCES[::-1], ("m0",), weights[12:, ::-1], losses[12:])
    write_table(tmp_path / "unseen.csv", others)
    reuse = tmp_path / "earlier.yaml"
    found = mixture_fit(
        tmp_path / "fitted.csv", reuse=reuse, changed=["code"], unseen=tmp_path / "unseen.csv"
    ).unseen
    assert found is not None
    assert found.error < 1e-3 < found.error_of_mean
    less = RunTable(("a",), ("code", "web"), ("m0",), np.array([[0.5, 0.5]]), losses[12:13])
    write_table(tmp_path / "less.csv", less)
    with pytest.raises(DataError, match="same sources and losses: code, math, web"):
        mixture_fit(tmp_path / "fitted.csv", reuse=reuse, changed=["code"], unseen=tmp_path / "less.csv")


def test_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    """They would be one in what is printed, and the table would lose one where it is written again."""
    weights = np.random.default_rng(4).dirichlet(np.ones(3), 8)
    write_table(tmp_path / "t.csv", _table(weights @ np.array([[1.0], [0.3], [1.7]]), weights))
    lines = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([*lines, lines[3]]) + "\n")
    with pytest.raises(DataError, match=r"line 10: run \S+ stands in .*line 4 too"):
        mixture_fit(tmp_path / "t.csv")


def test_a_file_that_is_not_there_is_told_with_its_cure(tmp_path: Path) -> None:
    words = r"none\.x: cannot be read \(no such file or directory\); correct the path"
    with pytest.raises(DataError, match=words):
        read_table(tmp_path / "none.x")
    with pytest.raises(DataError, match=words):
        read_mapping(tmp_path / "none.x")
