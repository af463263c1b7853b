"""Presets of other tools: their signatures, bands and duplicates, bit for bit."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.dedup.kernels.element_hashes import sha1_first_32, xxh64
from corpusmill.dedup.kernels.peer_signatures import normal_form
from corpusmill.dedup.matching.peer_forms import form
from corpusmill.dedup.minhash import PRESETS, Minhash
from corpusmill.pipelines.contract.documents import buffers
from tests.dedup.test_minhash import near_duplicates
from tests.dedup.test_real_data import load
from tests.oracles import dedup_peers
from tests.oracles.dedup_exchange import documents, removals

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and then the fox sleeps all day long in the sun.",
    "Größe 1,234.5 café - naïve; it's 3.14 or 2,50 or 7. Or don’t.  Tab\tand\u2003wide   space, end",
    "我们从网页中提取正文，并且去除重复的文档。 这样 训练 数据 会 更加 （第 134 期）：大 １００ 倍 、 ok",
    "한국어 텍스트 를 여기 에 넣어 서 본다 그리고 또 다른 단어 들 도 많이 넣는다",
    "a_b C++ x->y == 1.5e10 __init__ [0] {k: v} #tag @me 50% $3 a/b c\\d ~e `f` ^g |h <i> \x7f \x0b end",
    "İstanbul ǅ ﬁne Ⅷ ½ x² ٣٫٤ ١٢٣ Ω K Å ὓ e\u0301 \u00ad\u200b one two three four",
    "short one",
    "",
    " \n\t ",
    "word " * 40,
]
alphabet = st.text(
    st.sampled_from("aBz09.,'’-_ \n\t\u3000\u2003é中ーが、。한İßµ½٣٫\u00a0\u0085#€™\U0001f600\x1c"),
    max_size=60,
)


def signatures(stage: Minhash, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """`(signatures [N, H], whether a text has shingles [N])`."""
    ends, _, _, _, found = stage.peer_signatures(*buffers(pa.array(texts, pa.large_string())))
    return found, np.diff(ends) > 0


def formed(name: str, text: str) -> str:
    tables, data = form(name), np.frombuffer(text.encode() or b"\0", np.uint8)
    out = np.empty(len(data) * tables.growth + 1, np.uint8)
    arrays = tables.kind, tables.place, tables.pool, tables.separator
    return out[: normal_form(data, 0, len(text.encode()), *arrays, out)].tobytes().decode()


def test_hashes_of_bytes() -> None:
    bits = random.Random(0)
    scratch = np.empty(80, np.uint32)
    for size in [*range(140), 1000]:
        content = bits.randbytes(size)
        held = np.frombuffer(content + b"\0", np.uint8)
        first = int.from_bytes(hashlib.sha1(content).digest()[:4], "little")
        assert sha1_first_32(_place(held), size, scratch) == first
        assert xxh64(_place(held), size) == xxhash.xxh64_intdigest(content)


def _place(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def test_datasketch_signatures_and_bands() -> None:
    datasketch = pytest.importorskip("datasketch", reason="datasketch is not installed")
    stage = Minhash(preset="datasketch", bands=16, rows=8)
    found, some = signatures(stage, TEXTS)
    for text, ours, there in zip(TEXTS, found, some, strict=True):
        words = text.split()
        theirs = datasketch.MinHash(num_perm=128)
        theirs.update_batch([" ".join(words[i : i + 5]).encode() for i in range(len(words) - 4)])
        assert there == (len(words) >= 5)
        if there:
            assert ours.tolist() == theirs.hashvalues.tolist()
    with_seed, _ = signatures(Minhash(preset="datasketch", bands=2, rows=5, functions=64, seed=7), TEXTS[:1])
    theirs = datasketch.MinHash(num_perm=64, seed=7)
    words = TEXTS[0].split()
    theirs.update_batch([" ".join(words[i : i + 5]).encode() for i in range(len(words) - 4)])
    assert with_seed[0].tolist() == theirs.hashvalues[:10].tolist()


@pytest.mark.parametrize(
    ("preset", "threshold"),
    [("datasketch", 0.9), ("slimpajama", 0.8), ("redpajama", 0.7), ("text_dedup", 0.7)],
)
def test_bands_are_the_best_ones_by_datasketch(preset: str, threshold: float) -> None:
    """All four tools choose bands and rows by datasketch's integrals, for the threshold that they name."""
    datasketch = pytest.importorskip("datasketch", reason="datasketch is not installed")
    s = Minhash.model_validate({"preset": preset}).settings()
    lsh = datasketch.MinHashLSH(threshold=threshold, num_perm=s.functions)
    assert (s.bands, s.rows) == (lsh.b, lsh.r)


def test_datasketch_candidates() -> None:
    datasketch = pytest.importorskip("datasketch", reason="datasketch is not installed")
    texts = near_duplicates(3, 30, 6)
    lsh = datasketch.MinHashLSH(threshold=0.7, num_perm=128)
    stage = Minhash(preset="datasketch", bands=lsh.b, rows=lsh.r)
    sketches = []
    for i, text in enumerate(texts):
        words = text.split()
        sketches.append(datasketch.MinHash(num_perm=128))
        sketches[-1].update_batch([" ".join(words[k : k + 5]).encode() for k in range(len(words) - 4)])
        lsh.insert(i, sketches[-1])
    theirs = {(i, j) for i, one in enumerate(sketches) for j in lsh.query(one) if i < j}
    _, _, keys, _ = stage.sketch(*buffers(pa.array(texts, pa.large_string())))
    n = len(texts)
    ours = {(i, j) for i in range(n) for j in range(i + 1, n) if (keys[i] == keys[j]).any()}
    assert ours == theirs
    assert len(ours) > 30


@pytest.mark.parametrize("preset", ["slimpajama", "redpajama", "text_dedup"])
def test_signatures_of_published_code(preset: str) -> None:
    stage = Minhash.model_validate({"preset": preset})
    texts = [*TEXTS, *near_duplicates(5, 10, 2)]
    found, some = signatures(stage, texts)
    functions = dedup_peers.drawn(preset)
    for text, ours, there in zip(texts, found, some, strict=True):
        theirs = dedup_peers.signature(preset, text, functions)
        assert there == bool(theirs)
        if there:
            assert ours.tolist() == theirs[: len(ours)], text


@settings(deadline=None, max_examples=200)
@given(alphabet, st.sampled_from(["slimpajama", "redpajama", "text_dedup"]))
def test_shingles_of_any_text(text: str, preset: str) -> None:
    _, values, _, _, _ = Minhash.model_validate({"preset": preset}).peer_signatures(
        *buffers(pa.array([text], pa.large_string()))
    )
    assert values.tolist() == sorted({dedup_peers.sha1_32(one) for one in dedup_peers.shingles(preset, text)})


@settings(deadline=None, max_examples=200)
@given(alphabet)
def test_form_of_datatrove_for_any_text(text: str) -> None:
    datatrove = pytest.importorskip("datatrove.utils.text", reason="datatrove is not installed")
    assert formed("datatrove", text) == datatrove.simplify_text(text)


def test_forms_differ_as_documented() -> None:
    """The final sigma, and order of marks: the only known differences."""
    assert formed("slimpajama", "ΟΔΟΣ") == "οδοσ"
    assert "ΟΔΟΣ".lower() == "οδος"
    assert formed("redpajama", "é\u0323") == "e\u0301\u0323"


def test_duplicates_of_datatrove(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revisions of real pages: the clusters of datatrove's own steps, split at white space as here."""
    pytest.importorskip("datatrove", reason="datatrove is not installed")
    docs, _ = load(data / "neardup" / "tldr_revisions.jsonl.zst")
    texts = docs.text.to_pylist()
    theirs = dedup_peers.datatrove_clusters(
        texts, tmp_path, lambda form: form.split(" ") if form else [], monkeypatch
    )
    place = {id_: i for i, id_ in enumerate(docs.column("id").to_pylist())}
    ours: dict[int, set[int]] = {}
    for removed, (survivor, _) in removals(Minhash(preset="fineweb"), docs, 2000, 700, 3).items():
        ours.setdefault(place[survivor], {place[survivor]}).add(place[removed])
    assert {frozenset(one) for one in ours.values()} == theirs
    assert sum(map(len, theirs)) > 1000


def test_documents_that_are_too_short_stay() -> None:
    docs = documents(["only four words here"] * 2 + ["x y"] * 2 + [""] * 2)
    for preset in ("fineweb", "datasketch", "redpajama"):
        assert removals(Minhash.model_validate({"preset": preset}), docs) == {}


def test_our_own_bits_by_option() -> None:
    own = Minhash(preset="fineweb", bits="own")
    assert own.settings() == PRESETS["fineweb"]._replace(bits="own")
    docs = documents(near_duplicates(4, 15, 6))
    assert removals(own, docs)
    with pytest.raises(ValidationError, match="needs the preset of a tool whose bits are known: fineweb"):
        Minhash(preset="marin", bits="peer")
    with pytest.raises(ValidationError, match="add `bits: own`"):
        Minhash(preset="fineweb", normalize="fold")
    with pytest.raises(ValidationError, match="bands x rows = 112"):
        Minhash(preset="fineweb", functions=100)
    with pytest.raises(ValidationError, match="RandomState"):
        Minhash(preset="fineweb", seed=2**32)
    with pytest.raises(ValidationError, match="leave it out"):
        Minhash(functions=500)


def test_measured_on_the_shingles_of_the_tool() -> None:
    words = [a + b for a in "bcdfgh" for b in "aeiouwxyz"]
    docs = documents([" ".join(words), " ".join(words[:44])], ids=["whole", "part"])
    for preset in ("fineweb", "datasketch", "text_dedup"):
        stage = Minhash.model_validate({"preset": preset, "verify": True, "bands": 60, "rows": 2})
        assert removals(stage, docs) == {"part": ("whole", 40 / 50)}
