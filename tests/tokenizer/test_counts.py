from __future__ import annotations

import base64
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.text.mixing import mixed
from corpusmill.tokenizer.bpe import count_runs
from corpusmill.tokenizer.bpe import counts as counts_module
from corpusmill.tokenizer.bpe.counts import COUNTS, PretokenCounter, count_texts, merge_counts
from corpusmill.tokenizer.bpe.train import most_frequent, train
from corpusmill.tokenizer.kernels import count_table as table
from corpusmill.tokenizer.kernels.count_table import key_of
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from tests.oracles.tokenizer_counts import as_counter, counted, read_texts
from tests.oracles.tokenizer_texts import DATA, made_texts

PRE = PreTokenizer()
SMALL = 2**18  # bytes of memory that a few thousand pre-tokens overflow
texts_strategy = st.lists(
    st.text(st.one_of(st.sampled_from("ae1中の🙂 \n\r'.,$"), st.characters(exclude_categories=["Cs"]))),
    max_size=12,
)


def array(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def varied_texts(count: int, seed: int = 1) -> list[str]:
    """Texts of many different pre-tokens of 1 to 60 characters."""
    draw = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyzéя"
    return [
        " ".join(
            "".join(draw.choices(letters, k=draw.choice((2, 6, 7, 8, 9, 15, 16, 17, 60)))) for _ in range(40)
        )
        for _ in range(count)
    ]


@settings(deadline=None, max_examples=75)
@given(texts_strategy, st.sampled_from((1, 3, 16, 256)))
def test_counts_are_those_of_a_counter(texts: list[str], longest: int) -> None:
    counts = count_texts(array(texts), PRE, longest)
    assert counts.schema.equals(COUNTS)
    assert as_counter(counts) == counted(texts, PRE, longest)


@pytest.mark.parametrize(
    "pre",
    [PreTokenizer(pattern=name) for name in ("gpt2", "cl100k", "o200k", "qwen", "llama3")]
    + [PreTokenizer(digits=1), PreTokenizer(pattern=(r"\p{L}+", r"[0-9]{2}"))],
    ids=str,
)
def test_every_pre_tokenizer_is_counted(pre: PreTokenizer) -> None:
    texts = [*made_texts(30), "It's 1234567 o'CLOCK\r\n\t  x", "", "中 文" * 40]
    for longest in (4, 256):
        assert as_counter(count_texts(array(texts), pre, longest)) == counted(texts, pre, longest)


def test_nulls_slices_chunks_and_short_strings_are_read_as_they_are() -> None:
    texts = ["ignored", "water water", None, "", "a", "ignored"]
    expected = counted(["water water", "a"])
    for kind in (pa.string(), pa.large_string()):
        sliced = pa.array(texts, kind).slice(1, 4)
        assert as_counter(count_texts(sliced, PRE)) == expected
        chunked = pa.chunked_array([sliced.slice(0, 2), sliced.slice(2, 0), sliced.slice(2)])
        assert as_counter(count_texts(chunked, PRE)) == expected
    assert count_texts(pa.chunked_array([], pa.large_string()), PRE).num_rows == 0


@settings(deadline=None, max_examples=50)
@given(texts_strategy, st.randoms(use_true_random=False))
def test_counts_merge_in_any_order_and_division(texts: list[str], draw: random.Random) -> None:
    whole = count_texts(array(texts), PRE)
    parts = [count_texts(array([text]), PRE) for text in texts]
    draw.shuffle(parts)
    while len(parts) > 1:
        at = draw.randrange(len(parts) - 1)
        parts[at : at + 2] = [merge_counts(parts[at : at + 2])]
    assert merge_counts(parts).equals(whole)


def test_rows_are_in_order_of_key_and_then_of_bytes() -> None:
    counts = count_texts(array(varied_texts(20)), PRE)
    rows = [np.frombuffer(row, np.uint8) for row in counts.column("pretoken").to_pylist()]
    keys = [int(key_of(row, 0, len(row))) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def colliding() -> list[bytes]:
    """Two strings of 15 bytes with one KEY: the first words make up for the difference of the others."""
    extras = [int.from_bytes(word, "little") | 15 << 56 for word in (b"aaaaaaa", b"bbbbbbb")]
    first = int.from_bytes(b"zzzzzzzz", "little")
    one, two = mixed(np.array(extras, np.uint64)).tolist()
    other = first ^ one ^ two
    return [first.to_bytes(8, "little") + b"aaaaaaa", other.to_bytes(8, "little") + b"bbbbbbb"]


def block_of(starts: list[int], length: int, numbers: tuple[int, int] | None = None) -> np.ndarray[Any, Any]:
    """A block of strings, all of one length, with these KEY and EXTRA."""
    block = np.zeros((len(starts), 4), np.uint64)
    block[:, table.START], block[:, table.LENGTH] = starts, length
    if numbers is not None:
        block[:, table.KEY], block[:, table.EXTRA] = numbers
    return block


def counted_blocks(data: np.ndarray[Any, Any], *blocks: np.ndarray[Any, Any]) -> pa.Table:
    slots, arena, used = np.zeros((16, 4), np.uint64), np.empty(256, np.uint8), np.zeros(2, np.int64)
    for block in blocks:
        assert table.count_block(slots, arena, used, data, block, 0, len(block)) == len(block)
    many, size = used.tolist()
    rows = np.empty(many + 1, np.int64), np.empty(size, np.uint8), np.empty(many, np.int64)
    table.take_rows(slots, arena, *rows)
    return count_runs.sorted_counts(rows)


def test_strings_of_one_key_are_told_apart() -> None:
    pair = colliding()
    data = np.frombuffer(b"".join(pair) + b"padding of 16 bytes", np.uint8)
    assert key_of(data, 0, 15) == key_of(data, 15, 15)
    block = block_of([15, 0, 15, 15], 15)
    table.number_block(data, block, len(block))
    expected = {pair[0]: 1, pair[1]: 3}
    counts = counted_blocks(data, block)
    assert counts.column("pretoken").to_pylist() == sorted(pair)
    assert as_counter(counts) == expected
    for parts in ([counts.slice(0, 1), counts.slice(1)], [counts.slice(1), counts.slice(0, 1)]):
        assert merge_counts(parts).equals(counts)
    doubled = merge_counts([counts.slice(1), counts, counts.slice(0, 1)])
    assert as_counter(doubled) == {string: 2 * times for string, times in expected.items()}


def test_long_strings_of_the_same_numbers_are_told_apart_by_their_bytes() -> None:
    strings = [b"a" * 19, b"b" + b"a" * 18, b"a" * 18 + b"b", b"a" * 9 + b"b" + b"a" * 9]
    data = np.frombuffer(b"".join(strings), np.uint8)
    forged = (5, int(table._LONG) + 7)
    again = block_of([19, 57, 0], 19, forged)
    counts = counted_blocks(data, block_of([0, 19, 38, 57], 19, forged), again, block_of([0], 18, forged))
    assert as_counter(counts) == {
        strings[0]: 2,
        strings[1]: 2,
        strings[2]: 1,
        strings[3]: 2,
        b"a" * 18: 1,
    }


def test_numbers_do_not_depend_on_where_a_string_stands() -> None:
    text = bytes(range(1, 41))
    for length in range(1, 41):
        found = set()
        for before, after in ((0, 0), (3, 0), (0, 5), (9, 40)):
            data = np.frombuffer(b"\xff" * before + text[:length] + b"\xfe" * after, np.uint8)
            block = block_of([before], length)
            table.number_block(data, block, 1)
            found.add((int(block[0, table.KEY]), int(block[0, table.EXTRA])))
            assert block[0, table.KEY] == key_of(data, before, length)
        assert len(found) == 1


@pytest.mark.parametrize("pre", [PRE, PreTokenizer(pattern=(r"[^ ]+",))], ids=["kernel", "tokenizers"])
def test_spilling_changes_nothing_and_leaves_no_file(
    pre: PreTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(count_runs, "RANGE_BYTES", 2**14)  # many ranges of keys
    texts = varied_texts(150)
    with PretokenCounter(pre, 256, SMALL) as counter:
        for start in range(0, len(texts), 10):
            counter.add(array(texts[start : start + 10]))
        assert counter.runs >= 3
        assert len(list(tmp_path.rglob("*.arrow"))) == counter.runs
        spilt = counter.finish()
    assert spilt.equals(count_texts(array(texts), pre))
    assert as_counter(spilt) == counted(texts, pre)
    assert list(tmp_path.iterdir()) == []


def test_runs_are_removed_on_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def full(runs: object) -> None:
        assert list(tmp_path.iterdir())
        raise OSError("disk full")

    monkeypatch.setattr(counts_module, "merge_counts", full)
    with pytest.raises(OSError, match="disk full"):
        count_texts(array(varied_texts(150)), PRE, 256, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_threads_change_nothing() -> None:
    texts = varied_texts(120)
    batches = [array(texts[start : start + 5]) for start in range(0, 120, 5)]
    one = train(batches, vocab_size=500, count_memory=SMALL)
    three = train(batches, vocab_size=500, count_memory=SMALL, threads=3)
    assert one.definition == three.definition
    assert (one.occurrences, one.bytes) == (three.occurrences, three.bytes)


def test_an_error_while_reading_texts_reaches_the_caller() -> None:
    def broken() -> object:
        yield array(["water"])
        raise OSError("unreadable")

    for threads in (1, 2):
        with pytest.raises(OSError, match="unreadable"):
            train(broken(), vocab_size=300, threads=threads)  # type: ignore[arg-type]


def test_stops_cut_texts() -> None:
    texts = ["water and wine", "中文", "whole"]
    with PretokenCounter(PRE) as counter:
        counter.add(array(texts), np.array([5, 3, 5], np.int64))
        assert as_counter(counter.finish()) == counted(["water", "中", "whole"])


def test_giant_pretokens_are_counted_in_pieces() -> None:
    noise = base64.b64encode(random.Random(1).randbytes(3 * 10**6)).decode().rstrip("=")
    giants = [" " * 4_000_000, "中" * 2_000_000, noise, "\n" * 1_000_000, "\u3000" * 500_000]
    for giant in giants:
        counts = count_texts(array([giant]), PRE)
        sizes = [len(row.decode()) for row in counts.column("pretoken").to_pylist()]
        assert max(sizes) <= 256
        assert sum(len(row) * n for row, n in as_counter(counts).items()) == len(giant.encode())
    assert as_counter(count_texts(array(giants[1:2]), PRE)) == {
        ("中" * 256).encode(): 7812,
        ("中" * 128).encode(): 1,
    }


def test_most_frequent_keeps_order_and_breaks_ties_by_bytes() -> None:
    counts = count_texts(array(["b b b c c d d e e f"]), PreTokenizer(pattern=(r" ",)))
    assert as_counter(counts) == {b" ": 9, b"b": 3, b"c": 2, b"d": 2, b"e": 2, b"f": 1}
    kept = most_frequent(counts, 4)
    assert as_counter(kept) == {b" ": 9, b"b": 3, b"c": 2, b"d": 2}
    assert most_frequent(counts, 6) is counts
    both = [set(kept.column("pretoken").to_pylist()), counts.column("pretoken").to_pylist()]
    assert kept.column("pretoken").to_pylist() == [row for row in both[1] if row in both[0]]


def test_other_tables_are_refused() -> None:
    with pytest.raises(TypeError, match="expected a table of counts"):
        merge_counts([pa.table({"pretoken": ["a"], "count": [1]})])


def test_real_text_is_counted_as_the_oracle_does() -> None:
    path = DATA / "text" / "ruanyf_weekly_zh.jsonl.zst"
    if not path.exists():
        pytest.skip(f"{path} is not there; set CORPUSMILL_DATA")
    texts = [*read_texts(path, 150_000), *read_texts(DATA / "code" / "code_packages.jsonl.zst", 300_000)]
    assert as_counter(count_texts(array(texts), PRE)) == counted(texts)
