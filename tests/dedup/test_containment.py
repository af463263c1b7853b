"""Containment: a document is removed for one that has its shingles, measured, whatever the layout."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.dedup.minhash import Minhash
from tests.dedup.test_against import check_law, removals_of, run, write_months, write_recipe
from tests.dedup.test_minhash import brute_force, same
from tests.oracles import dedup_words
from tests.oracles.dedup_exchange import documents, removals

WHOLE = 1 - 2.0**-53


def words(first: int, end: int) -> str:
    return " ".join(f"w{i}" for i in range(first, end))


def stage(**options: object) -> Minhash:
    """Bands of one hash, so that nearly every pair with a common shingle is a candidate."""
    return Minhash.model_validate({"measure": "containment", "bands": 120, "rows": 1, **options})


def test_the_shorter_document_is_removed_for_the_longer() -> None:
    docs = documents([words(0, 100), words(20, 70)], ids=["long", "part"])
    assert removals(stage(), docs) == {"part": ("long", WHOLE)}
    assert removals(stage(measure="jaccard"), docs) == {}


@pytest.mark.parametrize(("threshold", "removed"), [(0.75, True), (0.76, False)])
def test_the_share_is_that_of_the_worse_document(threshold: float, removed: bool) -> None:
    """40 of a document's 44 words stand in a row in the longer one: 36 of its 40 shingles; of 12 others 9."""
    docs = documents([words(0, 100), words(0, 13) + " " + words(200, 203)], ids=["long", "part"])
    expected = {"part": ("long", 9 / 12)} if removed else {}
    assert removals(stage(threshold=threshold), docs) == expected


def test_a_favoured_source_keeps_its_shorter_document_and_the_longer_one_stays() -> None:
    """What a document of an earlier source has is removed from later ones, never the reverse."""
    docs = documents([words(0, 100), words(20, 70)], ["web", "books"], ["long", "part"])
    assert removals(stage(priority=["books"]), docs) == {}
    assert removals(stage(priority=["web"]), docs) == {"part": ("long", WHOLE)}


def test_a_document_wholly_in_another_does_not_share_its_fate() -> None:
    """`inner` is all in `middle`, which is removed for `best`, that has too little of `inner`."""
    best = words(0, 95) + " " + words(300, 320)
    middle, inner = words(0, 100), words(80, 100)
    docs = documents([best, middle, inner], ids=["best", "middle", "inner"])
    got = removals(stage(), docs)
    assert {name: survivor for name, (survivor, _) in got.items()} == {"middle": "best"}
    copies = documents([best, middle, inner, middle + "!"], ids=["best", "middle", "inner", "same"])
    got = removals(stage(), copies)
    assert {name: survivor for name, (survivor, _) in got.items()} == {"middle": "best", "same": "best"}


# Parts of one text, with other words in some places: of any length, so that one is often inside another.
parts = st.tuples(st.integers(0, 30), st.integers(3, 30), st.lists(st.integers(0, 60), max_size=2)).map(
    lambda part: " ".join(f"x{i}" if i in part[2] else f"w{i}" for i in range(part[0], part[0] + part[1]))
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(parts, max_size=14),
    st.randoms(use_true_random=False),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 9),
    st.sampled_from([0.5, 0.8, 1.0]),
)
def test_any_layout_equals_brute_force(
    texts: list[str], rng: random.Random, unit_rows: int, batch_rows: int, partitions: int, threshold: float
) -> None:
    docs = documents(texts, [rng.choice("abc") for _ in texts])
    one = stage(width=2, threshold=threshold, priority=["b", "a"])
    got = removals(one, docs, unit_rows, batch_rows, partitions)
    assert same(got, brute_force(one, docs))
    sets = {
        id_: dedup_words.shingle_set(text, True, 2, "fold", "exact")
        for id_, text in zip(docs.column("id").to_pylist(), docs.text.to_pylist(), strict=True)
    }
    for removed, (survivor, similarity) in got.items():
        equal = sets[removed] == sets[survivor]
        assert similarity == (1.0 if equal else dedup_words.contained(sets[removed], sets[survivor]))


def test_it_takes_a_measured_pair() -> None:
    with pytest.raises(ValidationError, match="without `verify` none is; add `verify: true`"):
        Minhash(preset="fineweb", measure="containment")
    assert Minhash(preset="fineweb", measure="containment", verify=True).settings().threshold == 0.8
    assert Minhash(preset="contained").settings().threshold == 0.9


def test_months_against_earlier_ones_keep_the_law(tmp_path: Path) -> None:
    names = write_months(tmp_path, 4, 5, 16)
    options = {"measure": "containment", "bands": 40, "rows": 1, "threshold": 0.6, "max_bucket": 3}
    check_law(tmp_path, names, [{"minhash": options}])


def test_engines_remove_the_same(tmp_path: Path) -> None:
    rng = random.Random(3)
    text = [f"w{rng.randrange(300)}" for _ in range(900)]
    (tmp_path / "a").mkdir()
    for file in range(3):
        lines = []
        for number in range(30):
            start, size = rng.randrange(600), rng.randrange(20, 300)
            lines.append(json.dumps({"id": f"{file}-{number}", "text": " ".join(text[start : start + size])}))
        (tmp_path / "a" / f"{file}.jsonl").write_text("\n".join(lines) + "\n")
    recipe = write_recipe(tmp_path, "r", ["a"], [{"minhash": {"preset": "contained"}}])
    found = []
    for engine in ("inline", "process"):
        result = run(recipe, f"engine.kind={engine}", f"output=runs/{engine}", "engine.workers=2")
        found.append(removals_of(result, "dedup.minhash"))
    assert found[0] == found[1]
    assert len(found[0]) > 20
