"""MinHash: brute force as oracle, any layout of the data, and the promises made to users."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.dedup.matching import buckets, candidates
from corpusmill.dedup.minhash import PRESETS, Minhash
from corpusmill.pipelines.contract.documents import Documents
from tests.oracles import dedup_near, dedup_words
from tests.oracles.dedup_exchange import documents, pairs_and_removals, removals


def word(rng: random.Random) -> str:
    return "".join(rng.choices("abcdefgh", k=4))


def near_duplicates(seed: int, families: int, copies: int, length: int = 60) -> list[str]:
    """Families of texts that differ from a common ancestor in 0 to 12 words each, in a mixed order."""
    rng = random.Random(seed)
    texts = []
    for _ in range(families):
        ancestor = [word(rng) for _ in range(length)]
        for _ in range(copies):
            child = list(ancestor)
            for _ in range(rng.randrange(13) if rng.random() < 0.8 else 0):
                child[rng.randrange(length)] = word(rng)
            texts.append(" ".join(child))
    rng.shuffle(texts)
    return texts


def known_by(stage: Minhash, docs: Documents) -> list[dedup_near.Doc]:
    """The documents as the oracles know them."""
    s = stage.settings()
    facts = zip(
        docs.column("id").to_pylist(),
        docs.column("source").to_pylist(),
        docs.sizes().tolist(),
        docs.text.to_pylist(),
        strict=True,
    )
    return [
        dedup_near.Doc(
            i,
            source,
            n,
            tuple(dedup_words.shingle_set(t, s.shingle == "word", s.width, s.normalize, s.short)),
        )
        for i, source, n, t in facts
    ]


def brute_force(
    stage: Minhash, docs: Documents, only_candidates: bool = True
) -> dict[str, tuple[str, float]]:
    s = stage.settings()
    _, _, keys, _ = stage.sketch(*docs.utf8())
    return dedup_near.removals(
        known_by(stage, docs),
        s.threshold,
        stage.priority,
        lambda i, j: not only_candidates or bool((keys[i] == keys[j]).any()),
        s.measure == "containment",
    )


def same(a: dict[str, tuple[str, float]], b: dict[str, tuple[str, float]]) -> bool:
    return {k: v[0] for k, v in a.items()} == {k: v[0] for k, v in b.items()} and all(
        a[k][1] == pytest.approx(b[k][1]) for k in a
    )


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_removals_equal_brute_force(threshold: float) -> None:
    rng = random.Random(7)
    texts = near_duplicates(1, 25, 8)
    docs = documents(texts, sources=[rng.choice(["a", "b", "c"]) for _ in texts])
    stage = Minhash(threshold=threshold, priority=["b", "a"])
    got = removals(stage, docs, 37, 10, 5)
    assert same(got, brute_force(stage, docs))
    found, _ = pairs_and_removals(stage, docs, 37, 10, 5)
    ends = (found.column(name).to_pylist() for name in ("id", "survivor_id"))
    pairs = list(zip(*ends, strict=True))
    assert len(set(pairs)) == len(pairs), "a pair is measured once, whatever bands it shares"
    assert len(got) > 20


def test_recall_is_what_theory_says() -> None:
    docs = documents(near_duplicates(2, 40, 6))
    stage = Minhash()
    found, _ = pairs_and_removals(stage, docs, 1000, 1000, 1)
    set_of = {
        id_: tuple(dedup_words.shingle_set(text, True, 5, "fold", "exact"))
        for id_, text in zip(docs.column("id").to_pylist(), docs.text.to_pylist(), strict=True)
    }
    ends = (found.column(name).to_pylist() for name in ("id", "survivor_id"))
    pairs = {frozenset((set_of[a], set_of[b])) for a, b in zip(*ends, strict=True)}
    distinct = sorted(set(set_of.values()))
    expected = missed = 0.0
    for i, a_set in enumerate(distinct):
        for b_set in distinct[:i]:
            similarity = dedup_words.jaccard(list(a_set), list(b_set))
            if similarity >= 0.8:
                expected += (1 - similarity**6) ** 20
                missed += frozenset((a_set, b_set)) not in pairs
            else:
                assert frozenset((a_set, b_set)) not in pairs, "precision is 1: similarity is measured"
    assert missed <= expected + 4 * expected**0.5


words_of = st.lists(st.sampled_from(["a", "b", "c", "ba", "中", "文"]), max_size=9).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(words_of, max_size=14),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 9),
    st.sampled_from(sorted(PRESETS)),
    st.integers(2, 5),
)
def test_any_layout_gives_the_same_removals(
    texts: list[str], unit_rows: int, batch_rows: int, partitions: int, preset: str, max_bucket: int
) -> None:
    stage = Minhash.model_validate({"preset": preset, "width": 2, "max_bucket": max_bucket})
    docs = documents(texts)
    whole = removals(stage, docs, 1000, 1000, 1)
    assert removals(stage, docs, unit_rows, batch_rows, partitions) == whole
    survivors = {survivor for survivor, _ in whole.values()}
    assert not survivors & set(whole), "a survivor is never removed"
    if stage.settings().verify:
        if len(set(texts)) <= max_bucket:
            assert same(whole, brute_force(stage, docs))
        assert all(similarity >= 0.8 for _, similarity in whole.values())


def test_order_of_input_does_not_matter() -> None:
    texts = near_duplicates(3, 12, 5)
    ids = [f"{i:032x}" for i in range(len(texts))]
    shuffled = random.Random(0).sample(range(len(texts)), len(texts))
    whole = removals(Minhash(), documents(texts, ids=ids))
    again = removals(
        Minhash(), documents([texts[i] for i in shuffled], ids=[ids[i] for i in shuffled]), 7, 3, 4
    )
    assert whole == again


def test_small_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = documents(near_duplicates(4, 15, 6))
    whole = removals(Minhash(), docs)
    for members in (1, 3, 20):
        monkeypatch.setattr(buckets, "PIECE_MEMBERS", members)
        assert removals(Minhash(), docs, 20, 20, 2) == whole


@pytest.mark.parametrize("listed", [0, 2, 3, 1000])
def test_pairs_do_not_depend_on_which_partners_are_listed(
    monkeypatch: pytest.MonkeyPatch, listed: int
) -> None:
    """Families of 6 with copies in them, and the buckets of each larger or smaller than lists are long."""
    docs = documents(near_duplicates(9, 15, 6, length=300))
    found, _ = pairs_and_removals(Minhash(), docs, 20, 20, 2)
    monkeypatch.setattr(candidates, "LISTED", listed)
    again, _ = pairs_and_removals(Minhash(), docs, 20, 20, 2)
    by = [("id", "ascending"), ("survivor_id", "ascending")]
    assert again.sort_by(by).equals(found.sort_by(by))
    assert found.num_rows > 40


def chain(steps: int) -> list[str]:
    """Texts of which neighbours are alike (J about 0.85) and those further apart are not."""
    base = [f"v{i}" for i in range(60)]
    texts = []
    for step in range(steps):
        texts.append(" ".join(base + ["end"] * (steps - step)))
        base[step * 5 % 60] = f"changed{step}"
    return texts


def test_no_removal_through_a_chain() -> None:
    docs = documents(chain(8))
    direct = removals(Minhash(threshold=0.7, bands=60, rows=2), docs)
    sets = {
        i: dedup_words.shingle_set(t, True, 5, "fold", "exact")
        for i, t in zip(docs.column("id").to_pylist(), docs.text.to_pylist(), strict=True)
    }
    assert 2 <= len(direct) < 7
    for removed, (survivor, similarity) in direct.items():
        assert dedup_words.jaccard(sets[removed], sets[survivor]) == similarity >= 0.7
    closed = removals(Minhash(verify=False, bands=60, rows=2), docs)
    assert len(closed) == 7, "without verification the whole chain goes but its best"


def test_every_cluster_keeps_its_best() -> None:
    text = near_duplicates(5, 1, 1)[0]
    docs = documents([text] * 30, sources=["web"] * 20 + ["books"] * 10, ids=[f"{i:02d}" for i in range(30)])
    found, removed = pairs_and_removals(Minhash(priority=["books"]), docs, 7, 7, 3)
    assert found.num_rows == 29, "copies make one pair each, not n^2"
    assert set(removed.column("survivor_id").to_pylist()) == {"20"}
    assert removed.num_rows == 29
    assert set(removed.column("similarity").to_pylist()) == {1.0}


def test_priority_then_length_then_id() -> None:
    text = " ".join(f"w{i}" for i in range(60))
    docs = documents([text, text + " tail", text + "!", text], ids=["d", "c", "b", "a"])
    assert {survivor for survivor, _ in removals(Minhash(), docs).values()} == {"c"}
    docs = documents([text, text], ids=["b", "a"])
    assert removals(Minhash(), docs) == {"b": ("a", 1.0)}


def test_short_documents_fall_only_to_equal_ones() -> None:
    texts = [
        "C++",
        "C#",
        "c++",
        "a = b + c",
        "a = b - c",
        "a = b + c ",
        "Page 12",
        "Page 13",
        "",
        " ",
        "???",
        "???",
    ]
    docs = documents(texts, ids=[f"{i:02d}" for i in range(len(texts))])
    assert {k: v[0] for k, v in removals(Minhash(), docs).items()} == {"03": "05", "11": "10"}
    assert removals(Minhash(preset="fineweb"), docs) == {}


def test_chinese() -> None:
    text = "我们从网页中提取正文并且去除重复的文档这样训练数据会更加干净" * 2 + "数据的质量决定模型的能力"
    docs = documents([text, text.replace("干净", "整洁", 1), text[::-1]])
    got = removals(Minhash(threshold=0.7), docs)
    assert len(got) == 1
    assert same(got, brute_force(Minhash(threshold=0.7), docs))


def test_a_crowded_bucket_is_bounded() -> None:
    """One band key for all: more sets than `max_bucket`, and copies besides, still give sound removals."""
    rng = random.Random(6)
    ancestor = [f"w{i}" for i in range(200)]
    texts = []
    for _ in range(300):
        child = list(ancestor)
        child[rng.randrange(200)] = f"x{rng.randrange(3)}"
        texts.append(" ".join(child))
    docs = documents(texts)
    capped, _ = pairs_and_removals(Minhash(max_bucket=4), docs, 100, 50, 2)
    full, removed = pairs_and_removals(Minhash(max_bucket=10_000), docs, 100, 50, 2)
    assert capped.num_rows < 300 * 20 * 4 < full.num_rows
    assert removed.num_rows == 299
    assert len(removals(Minhash(max_bucket=4), docs)) >= 290


def test_presets_and_overrides() -> None:
    assert Minhash().settings() == PRESETS["verified"]
    fineweb = Minhash(preset="fineweb", bands=10).settings()
    assert (fineweb.bands, fineweb.rows, fineweb.verify, fineweb.short) == (10, 8, False, "keep")
    assert Minhash(preset="fineweb", verify=True).settings().threshold == 0.8
    for preset in PRESETS:
        docs = documents([" ".join(f"word{i}" for i in range(80))] * 2 + ["something else " * 30])
        assert len(removals(Minhash.model_validate({"preset": preset}), docs)) == 1
    with pytest.raises(ValidationError):
        Minhash.model_validate({"preset": "nosuch"})
    with pytest.raises(ValidationError):
        Minhash.model_validate({"thresold": 0.5})
    with pytest.raises(ValidationError):
        Minhash(threshold=0.0)
    with pytest.raises(ValueError, match=r"threshold: 0\.5 has no effect, as without `verify`"):
        Minhash(preset="fineweb", threshold=0.5)
    with pytest.raises(ValueError, match=r"`preset: contained` measures pairs.*leave out `verify`"):
        Minhash(preset="contained", verify=False)


def test_fineweb_removes_below_the_verified_threshold() -> None:
    """The preset follows datatrove: a shared band is enough, and the similarity is still reported."""
    texts = near_duplicates(8, 60, 2, length=120)
    got = removals(Minhash(preset="fineweb", bands=60, rows=2), documents(texts))
    low = [similarity for _, similarity in got.values() if similarity < 0.8]
    assert low, "unverified removals include pairs under 0.8"
    assert set(removals(Minhash(bands=60, rows=2), documents(texts))) < set(got)


@pytest.mark.parametrize(("part", "whole", "threshold"), [(40, 50, 0.8), (55, 100, 0.55), (69, 100, 0.7)])
def test_the_threshold_is_inclusive(part: int, whole: int, threshold: float) -> None:
    """A text inside another: the index is exactly part / whole."""
    words = [f"w{i}" for i in range(whole + 4)]
    docs = documents([" ".join(words), " ".join(words[: part + 4])], ids=["whole", "part"])
    expected = {"part": ("whole", part / whole)} if part / whole >= threshold else {}
    assert removals(Minhash(threshold=threshold, bands=60, rows=2), docs) == expected


def test_warming_compiles_without_documents() -> None:
    Minhash().warm()
    Minhash(preset="curator").warm()


def test_no_documents() -> None:
    found, removed = pairs_and_removals(
        Minhash(), documents(["alone in this place with enough words"]), 1, 1, 3
    )
    assert found.num_rows == removed.num_rows == 0
    emitted = Minhash().emit(documents([]), 0, np.zeros(0, np.uint32))
    assert emitted.rows.num_rows == 0
    assert emitted.side is not None
    assert emitted.side.num_rows == 0
