"""Nothing held out stands in what is learnt from: against a slow comparison of all pairs."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.dedup.held_out_families import HeldOutFamilies
from corpusmill.dedup.held_out_index import HeldOutIndex
from corpusmill.dedup.held_out_overlap import HeldOutOverlap
from corpusmill.dedup.hold_out import HoldOut
from corpusmill.dedup.kernels import overlap as kernel
from corpusmill.pipelines.contract.documents import Documents, document_id
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.held_out import MODEL, TRAINED, HeldOut, families, host_of
from corpusmill.pipelines.contract.stage import Context
from tests.oracles.tokenizer_texts import as_documents

SEED = 11


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[k : k + 5]) for k in range(len(words) - 4)} or {("".join(words),)} - {("",)}


def overlap(one: str, other: str) -> float:
    """The share of the smaller's shingles that the other has."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / min(len(a), len(b)) if a and b else 0.0


def fold(stage: Any, context: Context, parts: list[Documents], folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    ready = stage.prepare(context)
    found: dict[str, Any] = ready.finish(ready.combine([ready.map(iter([part])) for part in parts]), folder)
    return found


def held_out(
    folder: Path, parts: list[Documents], **shares: float
) -> tuple[HeldOut, HoldOut, dict[str, Any]]:
    """What the four stages make of documents in these units."""
    names = {"held_out": folder / "f", "held_out_index": folder / "i", "held_out_overlap": folder / "o"}
    context = Context(SEED, names)
    fold(HeldOutFamilies(**shares), context, parts, names["held_out"])
    fold(HeldOutIndex(), context, parts, names["held_out_index"])
    facts = fold(HeldOutOverlap(), context, parts, names["held_out_overlap"])
    return HeldOut.of(context, "model", 0.0), HoldOut().prepare(context), facts


def corpus(draw: random.Random, count: int) -> Documents:
    """Documents in families, many of which are parts, unions or changed copies of others; some are very
    short."""
    words = ["".join(draw.choices("abcdefgh", k=4)) for _ in range(60)]
    texts: list[str] = []
    for _ in range(count):
        kind = draw.random()
        fresh = draw.choices(words, k=draw.choice([0, 1, 3, 6, 12, 40]))
        if kind < 0.35 and texts:  # a part of another, perhaps with more after it
            other = draw.choice(texts).split()
            start = draw.randrange(len(other) + 1)
            fresh = other[start:] + fresh[: draw.randrange(8)]
        elif kind < 0.5 and texts:  # a copy with one word changed
            fresh = draw.choice(texts).split()
            if fresh:
                fresh[draw.randrange(len(fresh))] = "changed"
        elif kind < 0.6 and len(texts) > 1:
            fresh = [*draw.choice(texts).split(), *draw.choice(texts).split()]
        texts.append(" ".join(fresh))
    hosts = [
        f"http://site{draw.randrange(9)}.example/{n}" if draw.random() < 0.5 else None for n in range(count)
    ]
    repos = [f"repo{draw.randrange(9)}" if draw.random() < 0.3 else None for _ in range(count)]
    docs = as_documents(texts, url=hosts, repo=repos, source=[draw.choice("ab") for _ in range(count)])
    ids = [document_id(str(draw.randrange(count)), text.encode()) for text in texts]
    return docs.with_columns({"id": pa.array(ids, pa.string())})


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.integers(1, 70),
    st.sampled_from([(0.2, 0.2), (0.4, 0.1), (0.0, 0.3)]),
    st.booleans(),
)
def test_no_held_out_document_stands_in_one_learnt_from_or_the_other_way_round(
    tmp_path: Path, seed: int, count: int, shares: tuple[float, float], common: bool
) -> None:
    draw = random.Random(seed)
    docs = corpus(draw, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "COMMON", 2 if common else 256)
        parts = [docs.slice(at, 7) for at in range(0, count, 7)]
        held, stage, facts = held_out(tmp_path, parts, tokenizer=shares[0], model=shares[1])
        again = docs.keep(np.ones(count, bool)).table.take(pa.array(draw.sample(range(count), count)))
        other = held_out(tmp_path, [Documents(again)], tokenizer=shares[0], model=shares[1])[2]
    assert facts == other  # whatever the order and the units
    level = held.levels(docs)
    reasons = stage.apply(docs).reasons.to_pylist()
    texts = docs.text.to_pylist()
    kept = [n for n in range(count) if reasons[n] is None]
    pairs = [(h, t) for h, t in product(range(count), repeat=2) if level[h] > level[t]]
    left = [overlap(texts[h], texts[t]) for h, t in pairs if h in kept and t in kept]
    assert max(left, default=0.0) < 0.8
    if not common:  # and nothing is removed without such a pair; the smaller goes, the held-out one of equals
        expected = set()
        for h, t in pairs:
            if overlap(texts[h], texts[t]) >= 0.8:
                smaller = len(shingles(texts[h])) <= len(shingles(texts[t]))
                expected.add((h, "held_out_elsewhere") if smaller else (t, "in_held_out"))
        gone = {(n, reason) for n, reason in enumerate(reasons) if reason is not None}
        assert {n for n, _ in gone} == {n for n, _ in expected}
        assert gone <= expected
        assert facts["highest_overlap"] >= max((x for x in left if x >= 0.25), default=0.0) - 1e-12
        assert facts["highest_overlap"] < 0.8


def sized(sizes: dict[str, int], source: str = "a") -> Documents:
    """Documents of sites of so many pages; the name `` has none."""
    urls = [f"https://www.{site}/p{n}" if site else None for site, size in sizes.items() for n in range(size)]
    texts = [f"{source} {n} " + " ".join(str(n * 50 + k) for k in range(9)) for n in range(len(urls))]
    docs = as_documents(texts, url=urls, repo=[None] * len(urls), source=[source] * len(urls))
    ids = [document_id(f"{source}{n}", b"") for n in range(len(urls))]
    return docs.with_columns({"id": pa.array(ids, pa.string())})


def test_families_are_held_out_whole_and_near_the_share(tmp_path: Path) -> None:
    docs = sized({f"s{n}.example": 5 + n % 9 for n in range(300)})
    held, _, facts = held_out(tmp_path, [docs], tokenizer=0.01, model=0.05)
    apart = held.held(docs, "model")
    names = np.array(families(docs), object)
    assert not set(names[apart]) & set(names[~apart])
    assert abs(apart.mean() - 0.05) < 0.005
    tokenizer = held.held(docs, "tokenizer")
    assert (tokenizer >= apart).all()  # no text that the model is judged on
    assert facts["sources"]["a"]["model"]["documents"] == apart.sum()
    assert facts["sources"]["a"]["in_large_families"] == 0


def test_a_family_larger_than_the_share_is_drawn_document_by_document(tmp_path: Path) -> None:
    docs = sized({"whole.example": 3_000, "small.example": 20, "": 980})
    held, _, facts = held_out(tmp_path, [docs], model=0.05)
    apart, names = held.held(docs, "model"), np.array(families(docs), object)
    large = names == "site\0whole.example"
    assert facts["sources"]["a"]["in_large_families"] == large.sum() == 3_000
    assert abs(apart[large].mean() - 0.05) < 4 * np.sqrt(0.05 / 3_000)
    assert abs(apart.mean() - 0.05) < 0.02
    assert len(set(apart[names == "site\0small.example"].tolist())) == 1


def test_who_is_held_out_depends_on_names_and_seed_alone(tmp_path: Path) -> None:
    docs = sized({f"s{n}.example": 3 for n in range(200)})
    first, _, _ = held_out(tmp_path, [docs], model=0.1, tokenizer=0.02)
    order = np.random.default_rng(3).permutation(len(docs))
    shuffled = Documents(docs.table.take(pa.array(order)))
    second, _, _ = held_out(
        tmp_path, [shuffled.slice(0, 70), shuffled.slice(70, 530)], model=0.1, tokenizer=0.02
    )
    assert first == second
    np.testing.assert_array_equal(first.levels(docs)[order], second.levels(shuffled))
    assert {int(x) for x in first.levels(docs)} == {TRAINED, MODEL}
    with pytest.raises(IntegrityError, match="source b was not there"):
        first.levels(sized({"x.example": 2}, "b"))
    text = json.dumps(first.as_json())
    assert HeldOut.from_json(json.loads(text)) == first


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.Example.org:8080/a?b#c", "example.org"),
        ("http://user:pw@example.org", "example.org"),
        ("//example.org./x", "example.org"),
        ("http://[2001:db8::1]:80/x", "[2001:db8::1"),
        ("http://example.org?q=//other.example/", "example.org"),
        ("mailto:someone@example.org", None),
        ("no url", None),
        ("http:///path", None),
        ("", None),
    ],
)
def test_hosts(url: str, host: str | None) -> None:
    assert host_of(url) == host
