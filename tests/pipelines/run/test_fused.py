"""Fused maps: isolation of faulty documents, the ledger, and independence of batch boundaries."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import (
    SCHEMA,
    Columns,
    Documents,
    document_id,
    nothing,
    reason_where,
)
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.rules import LIMITS, NOT_JUDGED
from corpusmill.pipelines.contract.stage import Edit, Filter, Outcome
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.run.operators.fused import FusedMaps


class Lengths(Filter):
    """Removes texts shorter than `at_least`, raises on `!`."""

    at_least: int = 2

    def score(self, docs: Documents) -> Columns:
        texts = docs.text.to_pylist()
        if any("!" in text for text in texts):
            raise ValueError("no exclamations")
        return {"length": np.array([len(text) for text in texts], np.int64)}

    def judge(self, scores: Columns) -> pa.Array:
        return reason_where((np.asarray(scores["length"]) < self.at_least, "short"))


class Shout(Edit):
    """Upper case; quarantines `?`."""

    def edit(self, docs: Documents) -> Outcome:
        texts = docs.text.to_pylist()
        upper = pa.array([text.upper() for text in texts], pa.large_string())
        faults = pa.array(["question: no" if "?" in text else None for text in texts], pa.string())
        return Outcome(docs.with_columns({"text": upper}), nothing(len(docs)), faults)


class Mask(Edit):
    """`*` for each run of the letter a, told as bytes cut; raises on `!`, removes `z`."""

    def edit(self, docs: Documents) -> Outcome:
        texts = docs.text.to_pylist()
        if any("!" in text for text in texts):
            raise ValueError("no exclamations")
        masked = pa.array([re.sub("a+", "*", text) for text in texts], pa.large_string())
        reasons = pa.array(["z" if "z" in text else None for text in texts], pa.string())
        cut = {"a": np.array([text.count("a") for text in texts], np.int64)}
        return Outcome(docs.with_columns({"text": masked}), reasons, nothing(len(docs)), cut)


class Drops(Edit):
    """Breaks the law of maps."""

    def edit(self, docs: Documents) -> Documents:
        return docs.slice(0, len(docs) - 1)


def documents(texts: list[str]) -> Documents:
    rows = [
        {"id": document_id(str(i), t.encode()), "text": t, "source": "s", "domain": "d", "meta": "{}"}
        for i, t in enumerate(texts)
    ]
    return Documents(pa.Table.from_pylist(rows, schema=SCHEMA))


def run(texts: list[str], cuts: list[int]) -> tuple[list[str], list[dict[str, object]], list[object]]:
    ledger = Ledger()
    fused = FusedMaps([Lengths(), Shout()], ledger)
    docs, kept = documents(texts), []
    edges = sorted({0, len(texts), *(cut % (len(texts) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        kept += fused.push(docs.slice(start, end - start)).text.to_pylist()
    ledger.check("test")
    removed = fused.removed().select(["id", "stage", "kind", "reason", "bytes"]).to_pylist()
    key = lambda row: (row["id"], row["stage"])  # noqa: E731
    return kept, ledger.record(), sorted(removed, key=key)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab!?é", max_size=4), max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_batches_change_nothing(texts: list[str], cuts: list[int]) -> None:
    # A stage that fails on everything it sees is at fault itself: keep one sound document in each batch.
    padded = [t for text in texts for t in (text, "sound")]
    whole, ledger, removed = run(padded, [])
    parts, ledger_parts, removed_parts = run(padded, [2 * cut for cut in cuts])
    assert whole == parts == [t.upper() for t in padded if len(t) >= 2 and "!" not in t and "?" not in t]
    assert ledger == ledger_parts
    assert removed == removed_parts


def test_every_way_out_is_counted() -> None:
    kept, ledger, removed = run(["fine", "x", "bad!", "what?", "also fine"], [])
    assert kept == ["FINE", "ALSO FINE"]
    assert {(row["stage"], row["kind"], row["reason"]) for row in removed} == {
        ("lengths", "removed", "short"),
        ("lengths", "quarantined", "ValueError"),
        ("shout", "quarantined", "question"),
    }
    assert ledger[0].documents_in == 5
    assert ledger[1].documents_in == 3


@pytest.mark.parametrize("bad", [[], ["a!"]])
def test_what_a_map_replaces_is_cut_in_the_ledger(bad: list[str]) -> None:
    ledger = Ledger()
    fused = FusedMaps([Mask()], ledger)
    assert fused.push(documents(["baab", *bad, "zaaa", "caa"])).text.to_pylist() == ["b*b", "c*"]
    ledger.check("test")
    (entry,) = ledger.record()
    assert (entry.bytes_kept, entry.cut, entry.bytes_out) == (3, {"a": 4}, 5)
    assert entry.removed == {"z": (1, 4)}


def test_a_stage_that_fails_on_everything_is_blamed_itself() -> None:
    fused = FusedMaps([Lengths()], Ledger())
    with pytest.raises(CorpusmillError, match=r"lengths raised on each of the first 8 .*no exclamations"):
        fused.push(documents(["!"] * 50))


def test_a_map_that_loses_rows_is_refused() -> None:
    with pytest.raises(CorpusmillError, match="drops broke the rule of maps: 3 rows in, 2 rows"):
        FusedMaps([Drops()], Ledger()).push(documents(["aa", "bb", "cc"]))


def test_poison_is_quarantined_unseen() -> None:
    ledger = Ledger()
    fused = FusedMaps([Lengths()], ledger, poison={1: ("lengths", "crash: killed by signal 11")})
    assert fused.push(documents(["aa", "!", "cc"])).text.to_pylist() == ["aa", "cc"]
    (row,) = fused.removed().to_pylist()
    assert (row["kind"], row["reason"], row["detail"]) == (
        "quarantined",
        "crash",
        "crash: killed by signal 11",
    )
    ledger.check("test")


class Limited(Filter):
    """Judges English alone, by its length; tells so in `limits`."""

    def score(self, docs: Documents) -> Columns:
        codes = docs.column("lang").cast(pa.string()).to_pylist()
        lengths = np.array([len(text) for text in docs.text.to_pylist()], np.int64)
        limits = pa.array([None if code == "en" else NOT_JUDGED for code in codes], pa.string())
        return {"length": lengths, LIMITS: limits}

    def judge(self, scores: Columns) -> pa.Array:
        judged = np.array([limit is None for limit in scores[LIMITS].to_pylist()], np.bool_)
        return reason_where((judged & (np.asarray(scores["length"]) < 2), "short"))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_languages_of_what_is_lost_kept_and_not_judged(size: int) -> None:
    docs = documents(["x", "yes", "x", "y?", "yes", "no!", "long"])
    codes = pa.array(["en", "en", "pl", "pl", None, "en", "en"], SCHEMA.field("lang").type)
    docs = docs.with_columns({"lang": codes})
    ledger = Ledger()
    maps = FusedMaps([Lengths(at_least=1), Limited(), Shout()], ledger)
    for start in range(0, len(docs), size):
        maps.push(docs.slice(start, size))
    first, limited, last = ledger.record()
    assert {code: encode(entry) for code, entry in first.languages.items()} == {
        "en": {"quarantined": {"ValueError": (1, 3)}}
    }
    assert {code: encode(entry) for code, entry in limited.languages.items()} == {
        "en": {"removed": {"short": (1, 1)}},
        "pl": {"unjudged": 2},
    }
    assert {code: encode(entry) for code, entry in last.languages.items()} == {
        "en": {"kept": (2, 7)},
        "pl": {"kept": (1, 1), "quarantined": {"question": (1, 2)}},
    }
