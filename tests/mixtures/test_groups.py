"""Groups within groups, by any column: shares exact to the token, caps, policies, and what is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yaml import safe_load

from corpusmill.mixtures.plan import histogram
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import UserError
from tests.mixtures.test_mixture import emitted, encoded, lengths, many, planned

LANGUAGES = ("en", "zh", "de", None)


def corpus(count: int, seed: int = 3) -> Documents:
    """Documents of three sources, four languages (one is none) and scores from 0 to 1, some without."""
    draw = np.random.default_rng(seed)
    docs = encoded(many(count, "web", "code", "math"))
    scores = [None if at % 11 == 0 else float(score) for at, score in enumerate(draw.random(count))]
    languages = [LANGUAGES[at] for at in draw.choice(4, count, p=[0.5, 0.3, 0.15, 0.05])]
    columns = {"lang": pa.array(languages, pa.string()), "judge.score": pa.array(scores, pa.float64())}
    return docs.with_columns(columns)


def found(plan: dict[str, Any], *values: str) -> dict[str, Any]:
    """The group of these values in the first phase."""
    (one,) = (one for one in plan["phases"][0]["groups"] if tuple(one["values"]) == values)
    return dict(one)


def drawn_of(docs: Documents, folder: Path, **where: Any) -> int:
    """Tokens drawn of the documents with these values."""
    rows = emitted(docs, folder)
    mine = np.ones(rows.num_rows, bool)
    for column, value in where.items():
        mine &= np.array([one == value for one in rows.column(column).to_pylist()])
    return int(lengths(rows)[mine].sum())


NESTED: dict[str, Any] = {
    "tokens": 20_000,
    "weights": {"web": 0.5, "code": 0.3, "math": 0.2},
    "within": {
        "web": {
            "by": "lang",
            "weights": {"en": 0.6, "zh": 0.3, "*": 0.1},
            "within": {"en": {"by": "judge.score", "epochs": {"below 0.5": 1, "from 0.5": 3, "unknown": 0}}},
        },
        "code": {"by": "tokens", "weights": {"below 20": 0.25, "from 20": 0.75}},
    },
    "at": {"judge.score": [0.5], "tokens": [20]},
    "max_epochs": 20,
}


def test_groups_within_groups_are_exact_to_the_token(tmp_path: Path) -> None:
    docs = corpus(1500)
    plan = planned(docs, tmp_path, **NESTED)
    assert plan["tokens"] == 20_000
    assert [found(plan, one)["tokens"] for one in ("web", "code", "math")] == [10_000, 6_000, 4_000]
    assert [found(plan, "web", one)["tokens"] for one in ("en", "zh", "*")] == [6_000, 3_000, 1_000]
    assert [found(plan, "code", one)["tokens"] for one in ("below 20", "from 20")] == [1_500, 4_500]
    low, high = (found(plan, "web", "en", one) for one in ("below 0.5", "from 0.5"))
    assert low["tokens"] + high["tokens"] == 6_000
    assert high["epochs"] == pytest.approx(3 * low["epochs"], rel=1e-3)
    assert found(plan, "web", "en", "unknown")["tokens"] == 0
    assert drawn_of(docs, tmp_path, source="web") == 10_000
    assert drawn_of(docs, tmp_path, source="web", lang="en") == 6_000
    assert drawn_of(docs, tmp_path, source="web", lang="zh") == 3_000
    assert {one["values"][0] for one in plan["cells"]} == {"web", "code", "math"}
    assert plan["columns"] == ["source", "judge.score", "lang", "tokens"]
    assert plan["sources"]["web"]["tokens"] == 10_000


@pytest.mark.parametrize("seed", range(20))
def test_twenty_random_mixtures_that_can_be_had_miss_no_token(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    docs = corpus(int(draw.integers(200, 900)), seed)
    outer, inner = draw.dirichlet([2.0] * 3), draw.dirichlet([2.0] * 4)
    options = {
        "tokens": int(draw.integers(50, 30_000)),
        "normalize": True,
        "weights": dict(zip(("web", "code", "math"), outer.tolist(), strict=True)),
        "within": {
            "web": {
                "by": "lang",
                "normalize": True,
                "weights": dict(zip(("en", "zh", "unknown", "*"), inner.tolist(), strict=True)),
            },
            "math": {"by": "lang", "policy": "unimax"},
        },
        "max_epochs": 1000,
    }
    plan = planned(docs, tmp_path, **options)
    assert plan["tokens"] == options["tokens"]
    for one in plan["phases"][0]["groups"]:
        assert (one["tokens"], one.get("shortfall")) == (one["requested_tokens"], None)
        exact = one["requested_share"] * options["tokens"]
        if one["by"][-1] == "source" or one["values"][0] == "web":
            assert abs(one["tokens"] - exact) <= len(one["by"]) + 1e-6  # a token a level, for whole tokens
    for source in options["weights"]:
        assert drawn_of(docs, tmp_path, source=source) == found(plan, source)["tokens"]


trees = st.fixed_dictionaries(
    {
        "tokens": st.integers(1, 30_000),
        "max_epochs": st.sampled_from([0.5, 1.0, 2.5, 30.0]),
        "weights": st.fixed_dictionaries(
            {name: st.integers(0, 9) for name in ("web", "code", "math")}
        ).filter(lambda weights: any(weights.values())),
        "inner": st.sampled_from(
            [
                {"by": "lang", "weights": {"en": 1, "zh": 2, "*": 1}, "normalize": True},
                {"by": "lang", "weights": {"fr": 1, "*": 2}, "normalize": True},
                {"by": "lang", "policy": "unimax", "max_epochs": 2},
                {"by": "lang", "temperature": 3},
                {
                    "by": "judge.score",
                    "epochs": {"below 0.3": 1, "0.3 to 0.8": 2, "from 0.8": 4, "unknown": 0},
                },
                {"by": "tokens"},
            ]
        ),
    }
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees, st.integers(3, 60), st.integers(0, 5), st.sampled_from([2**21, 16]))
def test_no_cap_is_exceeded_and_every_share_that_is_missed_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: dict[str, Any], count: int, seed: int, rows: int
) -> None:
    """For any groups: leaves add up to what is asked, a group gives what it is asked for or what its cap
    allows, what is missed has a cause, and what is written to be had instead can be had."""
    monkeypatch.setattr(histogram, "MOST_ROWS", rows)
    docs = corpus(count, seed)
    inner = options["inner"]
    given_ = {key: options[key] for key in ("tokens", "max_epochs", "weights")} | {
        "normalize": True,
        "within": {name: inner for name, weight in options["weights"].items() if weight},
        "at": {"judge.score": [0.3, 0.8], "tokens": [20]},
    }
    if not any(docs.column("source").to_pylist().count(name) for name, w in options["weights"].items() if w):
        return
    plan = planned(docs, tmp_path, **given_)
    groups = plan["phases"][0]["groups"]
    leaves = [one for one in groups if not one["divided"]]
    assert sum(one["requested_tokens"] for one in leaves) == options["tokens"]
    for one in leaves:
        missed = one["requested_tokens"] > one["tokens"]
        assert (one.get("cause") is not None) == (one.get("shortfall") is not None)
        assert not missed or one.get("cause") is not None
        cap = inner.get("max_epochs", options["max_epochs"])
        assert one["tokens"] <= cap * one["available_tokens"]
    rows_drawn = emitted(docs, tmp_path)
    assert lengths(rows_drawn).sum() == sum(one["tokens"] for one in leaves) == plan["tokens"]
    epochs: dict[str, set[int]] = {}
    for name, epoch in zip(rows_drawn["id"].to_pylist(), rows_drawn["epoch"].to_pylist(), strict=True):
        epochs.setdefault(name, set()).add(epoch)
    assert all(some == set(range(len(some))) for some in epochs.values())
    nearest = plan["phases"][0].get("nearest")
    assert (nearest is not None) == any(one["requested_tokens"] > one["tokens"] for one in leaves)
    if nearest is None or not nearest["recipe"]:
        return
    instead = {**given_, **safe_load(nearest["recipe"])}
    instead.setdefault("within", {})
    instead["within"] = safe_load(nearest["recipe"]).get("within", {})
    used = {
        one.get("by")
        for group in instead["within"].values()
        for one in (group, *group.get("within", {}).values())
    }
    instead["at"] = {column: edges for column, edges in given_["at"].items() if column in used}
    again = planned(docs, tmp_path, **instead)
    assert again["tokens"] == nearest["tokens"]
    assert again["phases"][0].get("nearest") is None
    if nearest.get("tokens_as_asked"):
        fewer = planned(docs, tmp_path, **{**given_, "tokens": nearest["tokens_as_asked"]})
        assert fewer["tokens"] == nearest["tokens_as_asked"]


def test_a_value_that_no_document_has_is_told_with_those_there_are(tmp_path: Path) -> None:
    docs = corpus(300)
    plan = planned(docs, tmp_path, by="lang", weights={"en": 0.5, "fr": 0.2, "*": 0.3}, tokens=1000)
    missing = found(plan, "fr")
    assert (missing["cause"], missing["tokens"]) == ("absent", 0)
    there = "no document has the value fr of lang; there are: en and others, which the recipe does not name;"
    assert there in missing["shortfall"]
    with pytest.raises(
        UserError, match=r"mixture: fr: 200 tokens asked.*nearest mixture: \{tokens: 1000, by: lang"
    ):
        planned(
            docs,
            tmp_path,
            by="lang",
            weights={"en": 0.5, "fr": 0.2, "*": 0.3},
            tokens=1000,
            on_shortfall="fail",
        )


def test_values_without_a_weight_are_refused_not_dropped(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r'values of lang other than en, zh have no weight; give one to "\*", or 0'
    ):
        planned(corpus(300), tmp_path, by="lang", weights={"en": 0.5, "zh": 0.5})


def test_epochs_of_buckets_need_no_budget(tmp_path: Path) -> None:
    docs = corpus(600)
    plan = planned(
        docs,
        tmp_path,
        by="tokens",
        at={"tokens": [10, 30]},
        epochs={"below 10": 0.5, "10 to 30": 1, "from 30": 3},
    )
    groups = {one["values"][0]: one for one in plan["phases"][0]["groups"]}
    assert {name: round(one["epochs"], 2) for name, one in groups.items()} == {
        "below 10": 0.5,
        "10 to 30": 1.0,
        "from 30": 3.0,
    }
    sizes = np.array([len(one) for one in docs.column("tokens").to_pylist()])
    expected = (
        sizes[sizes < 10].sum() / 2 + sizes[(sizes >= 10) & (sizes < 30)].sum() + 3 * sizes[sizes >= 30].sum()
    )
    assert plan["tokens"] == int(expected)


def test_unimax_is_even_but_for_values_of_which_there_is_too_little(tmp_path: Path) -> None:
    docs = encoded([("a", 10)] * 5 + [("b", 10)] * 100 + [("c", 10)] * 200)
    plan = planned(docs, tmp_path, policy="unimax", max_epochs=2, tokens=1500)
    assert {name: one["tokens"] for name, one in plan["sources"].items()} == {"a": 100, "b": 700, "c": 700}
    assert not any(one["shortfall"] for one in plan["sources"].values())
    plan = planned(docs, tmp_path, policy="unimax", max_epochs=1, tokens=4000)
    assert {name: one["tokens"] for name, one in plan["sources"].items()} == {"a": 50, "b": 1000, "c": 2000}
    assert {one["cause"] for one in plan["sources"].values()} == {"max_epochs"}


def test_how_often_bins_are_joined_changes_nothing_that_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = corpus(500)
    taken: list[npt.NDArray[np.int64]] = []
    for rows in (2**21, 100):
        monkeypatch.setattr(histogram, "MOST_ROWS", rows)
        plan = planned(docs, tmp_path, **{**NESTED, "tokens": 7_777})
        assert (plan["bins"] < 2**16) == (rows == 100)
        drawn = emitted(docs, tmp_path)
        taken.append(np.stack([drawn[name].to_numpy() for name in ("key", "row", "epoch", "cut_to")]))
    np.testing.assert_array_equal(*taken)


def test_the_share_asked_of_unimax_is_what_its_algorithm_asks(tmp_path: Path) -> None:
    docs = encoded([("a", 10)] * 5 + [("b", 10)] * 100 + [("c", 10)] * 200)
    plan = planned(docs, tmp_path, policy="unimax", max_epochs=2, tokens=1500)
    shares = {name: one["requested_share"] for name, one in plan["sources"].items()}
    assert shares == pytest.approx({"a": 100 / 1500, "b": 700 / 1500, "c": 700 / 1500})
    inner = {"by": "lang", "policy": "unimax", "max_epochs": 1}
    plan = planned(
        corpus(300), tmp_path, weights={"web": 0.4, "code": 0.3, "math": 0.3}, within={"web": inner}
    )
    groups = [one for one in plan["phases"][0]["groups"] if one["by"] == ["source", "lang"]]
    assert sum(one["requested_share"] for one in groups) == pytest.approx(0.4)
    for one in groups:
        assert one["requested_share"] == pytest.approx(one["requested_tokens"] / plan["tokens"], rel=0.2)
        asked = plan["phases"][0]["requested_tokens"]
        assert one["requested_share"] == pytest.approx(one["requested_tokens"] / asked, abs=1 / asked)


def test_unimax_asks_nothing_of_what_a_phase_is_not_drawn_from(tmp_path: Path) -> None:
    phases = [{"name": "one", "tokens": 20_000, "policy": "unimax", "only": {"source": ["code", "math"]}}]
    plan = planned(corpus(300), tmp_path, phases=phases, max_epochs=1)
    assert found(plan, "web")["requested_tokens"] == 0
    assert found(plan, "web")["requested_share"] == 0
    assert [found(plan, one)["cause"] for one in ("web", "code", "math")] == [
        None,
        "max_epochs",
        "max_epochs",
    ]
    assert "lower `tokens` or raise max_epochs" in found(plan, "code")["shortfall"]


def test_groups_within_a_value_without_a_share_miss_nothing(tmp_path: Path) -> None:
    inner = {"by": "lang", "weights": {"en": 0.5, "fr": 0.2, "*": 0.3}}
    weights = {"web": 1.0, "code": 0.0, "math": 0.0}
    plan = planned(
        corpus(300), tmp_path, tokens=100, weights=weights, within={"code": inner}, on_shortfall="fail"
    )
    assert {found(plan, "code", one)["cause"] for one in ("en", "fr", "*")} == {None}
    phases = [{"name": "one", "tokens": 100, "only": {"source": ["web"]}}]
    options = {"weights": {"web": 0.5, "code": 0.3, "math": 0.2}, "within": {"code": inner}, "phases": phases}
    planned(corpus(300), tmp_path, **options, on_shortfall="fail")


def test_groups_of_less_than_a_token_are_told_together(tmp_path: Path) -> None:
    weights = {"en": 0.9991, "zh": 0.0003, "de": 0.0003, "unknown": 0.0003, "*": 0.0}
    options: dict[str, Any] = {"by": "lang", "weights": weights, "tokens": 100}
    plan = planned(corpus(300), tmp_path, **options)
    assert [found(plan, one)["cause"] for one in ("zh", "de", "unknown")] == ["rounding"] * 3
    words = (
        r"^mixture: de, unknown, zh: their shares, 0\.0003 of 100 tokens, are less than one token each[^:;]*;"
    )
    with pytest.raises(UserError, match=words) as caught:
        planned(corpus(300), tmp_path, **options, on_shortfall="fail")
    assert str(caught.value).count("less than one token") == 1


def test_a_source_tells_which_of_its_groups_miss_their_shares(tmp_path: Path) -> None:
    inner = {"by": "lang", "weights": {"en": 0.2, "fr": 0.3, "*": 0.5}}
    weights = {"web": 0.5, "code": 0.25, "math": 0.25}
    options: dict[str, Any] = {"weights": weights, "within": {"web": inner}, "tokens": 2000}
    web = planned(corpus(300), tmp_path, **options)["sources"]["web"]
    assert (web["requested_tokens"], web["tokens"], web["cause"]) == (1000, 700, "absent")
    assert web["shortfall"] == "1,000 tokens asked, 700 drawn: web / fr (absent)"
    phases = [{"name": "first", "tokens": 0.5}, {"name": "second", "tokens": 0.5, "weights": weights}]
    plan = planned(corpus(300), tmp_path, **options, phases=phases)
    web, code = plan["sources"]["web"], plan["sources"]["code"]
    assert (web["requested_tokens"], web["tokens"], web["requested_share"]) == (1000, 850, 0.5)
    assert web["shortfall"] == "1,000 tokens asked, 850 drawn: first: web / fr (absent)"
    assert (code["requested_tokens"], code["tokens"], code["cause"]) == (500, 500, None)


def test_a_source_that_is_empty_and_shared_by_tokens_is_told_as_empty(tmp_path: Path) -> None:
    plan = planned(encoded([("a", 10), ("b", 0)]), tmp_path, temperature=2.0, tokens=5)
    assert plan["sources"]["b"]["cause"] == "empty"
    assert "no tokens asked, none drawn: the source has no tokens" in plan["sources"]["b"]["shortfall"]


def test_a_bucket_without_documents_misses_nothing_of_shares_that_follow_from_tokens(tmp_path: Path) -> None:
    docs = encoded([("a", 10)] * 30 + [("b", 60)] * 30)
    inner = {"by": "tokens", "epochs": {"below 20": 1, "20 to 50": 2, "from 50": 3}}
    options: dict[str, Any] = {"tokens": 900, "weights": {"a": 0.2, "b": 0.8}, "at": {"tokens": [20, 50]}}
    plan = planned(docs, tmp_path, **options, within={"a": inner, "b": inner}, on_shortfall="fail")
    assert {one["cause"] for one in plan["phases"][0]["groups"]} == {None}
    weights = {"by": "tokens", "weights": {"below 20": 0.5, "20 to 50": 0.0, "from 50": 0.5}}
    plan = planned(docs, tmp_path, **options, within={"a": weights})
    missing = found(plan, "a", "from 50")
    assert (missing["cause"], missing["requested_tokens"]) == ("absent", 90)
    assert (
        "no document has the value from 50 of tokens here; there are: below 20; correct"
        in missing["shortfall"]
    )
