"""Documents cut by the mixture: so many tokens of the beginning of the text, in a frame that holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.tokenizer.export.sequences import Sequences
from corpusmill.tokenizer.packing.cut import Frame, cut_framed
from tests.oracles.tokenizer_packing import documents_of
from tests.tokenizer.test_pack import drawn, packed

BOS, EOS, BEGIN, HOLE, END = 1, 2, 3, 4, 5


def framed(parts: list[list[int]], *, bos: bool, eos: bool, spm: bool) -> list[int]:
    prefix, middle, suffix = parts
    inner = [HOLE, *suffix, END, *prefix, *middle] if spm else [*prefix, HOLE, *suffix, END, *middle]
    return [*[BOS] * bos, BEGIN, *inner, *[EOS] * eos]


def unframed(tokens: list[int]) -> list[int]:
    """The text of a framed document, in its own order, without control tokens."""
    begin, hole, end = (tokens.index(role) for role in (BEGIN, HOLE, END))
    text = tokens[begin + 1 : hole] + tokens[end + 1 :] + tokens[hole + 1 : end]
    return [token for token in text if token != EOS]


def sizes(context: Context) -> dict[int, int]:
    """Bytes that each token of a document spells; control tokens spell none."""
    made = json.loads(context.artefact("tokenizer", "tokenizer.json").read_text(encoding="utf-8"))
    control = {token["id"] for token in made["added_tokens"]}
    vocabulary = made["model"]["vocab"].items()  # byte-level: a character stands for a byte
    return {number: 0 if number in control else len(token) for token, number in vocabulary} | dict.fromkeys(
        control, 0
    )


lengths = st.integers(0, 12)


@settings(deadline=None, max_examples=100)
@given(lengths, lengths, lengths, st.booleans(), st.booleans(), st.booleans(), st.data())
def test_a_framed_document_is_cut_to_a_beginning_of_its_text(
    prefix: int, middle: int, suffix: int, bos: bool, eos: bool, spm: bool, data: st.DataObject
) -> None:
    text = list(range(10, 10 + prefix + middle + suffix))
    parts = [text[:prefix], text[prefix : prefix + middle], text[prefix + middle :]]
    tokens = framed(parts, bos=bos, eos=eos, spm=spm)
    to = data.draw(st.integers(0, len(tokens) - 1))
    cut, still = cut_framed(np.array(tokens, np.uint16), to, Frame(HOLE, END, bos, eos))
    left = cut.tolist()
    assert len(left) == to
    if still:
        words = unframed(left)
        assert words == text[: len(words)]
        assert (left[-1:] == [EOS]) <= (words[: prefix + middle] == text[: prefix + middle])
    elif middle + suffix >= 2 + spm or to <= bos:
        plain = [*[BOS] * bos, *text, *[EOS] * eos]
        assert left == plain[:to]
    assert still == (to >= len(tokens) - suffix or to >= bos + 3 + (0 if spm else prefix))


def test_cut_documents_are_packed_counted_and_named(context: Context, tmp_path: Path) -> None:
    table = drawn([40, 30, 25, 9], epochs=[0, 0, 1, 0])
    ids = table.column("id").to_pylist()
    to = {f"{1:032x}": 12, f"{2:032x}": 1}
    cut = [to.get(name, -1) for name in ids]
    fim = pa.array([False] * 4)
    table = table.append_column("cut_to", pa.array(cut, pa.int64()))
    table = table.set_column(table.column_names.index("fim"), "fim", fim)
    shard = packed(context, table, tmp_path)
    expected = {
        (name, epoch): tokens[: to.get(name, len(tokens))]
        for name, epoch, tokens in zip(
            ids, *(table.column(c).to_pylist() for c in ("epoch", "tokens")), strict=True
        )
    }
    assert documents_of([shard]) == expected
    counts = shard.metadata["counts"]
    assert (counts["tokens"], counts["documents"]) == (40 + 12 + 1 + 9, 4)
    size = sizes(context)
    spelled = [size[token] for (name, _), tokens in expected.items() if name in to for token in tokens]
    assert counts["bytes_by_source"] == {"a": 3 * (40 + 9) + sum(spelled)}
    assert sorted((c["document"], c["epoch"], c["tokens"], c["of"]) for c in shard.metadata["cut"]) == [
        (f"{1:032x}", 0, 12, 30),
        (f"{2:032x}", 1, 1, 25),
    ]
    beyond = table.set_column(table.column_names.index("cut_to"), "cut_to", pa.array([50] * 4, pa.int64()))
    with pytest.raises(IntegrityError, match="is to be cut to 50"):
        packed(context, beyond, tmp_path)


@pytest.mark.parametrize("to", [37, 30, 12, 3])
def test_bytes_of_a_framed_document_are_those_that_are_left(
    to: int, context: Context, tmp_path: Path
) -> None:
    """Cut in its suffix, its middle, its prefix, and to the very first tokens."""
    facts = json.loads(context.artefact("tokenizer", "encoder.json").read_text(encoding="utf-8"))
    begin, hole, end, eos = (facts["special_tokens"][r] for r in ("fim_begin", "fim_hole", "fim_end", "eos"))
    parts = [range(at, at + 12) for at in (300, 400, 500)]
    tokens = [begin, *parts[0], hole, *parts[2], end, *parts[1], eos]
    table = drawn([40]).append_column("cut_to", pa.array([to], pa.int64()))
    column = pa.array([tokens], pa.large_list(pa.uint16()))
    table = table.set_column(table.column_names.index("tokens"), "tokens", column)
    shard = packed(context, table, tmp_path)
    (left,) = documents_of([shard]).values()
    size = sizes(context)
    assert len(left) == to
    assert shard.metadata["counts"]["fim_documents"] == (to >= 15)
    assert shard.metadata["counts"]["bytes_by_source"] == {"a": sum(size[token] for token in left)}


def test_a_document_that_phases_end_in_is_whole_in_each_of_them(context: Context, tmp_path: Path) -> None:
    """Of 100 tokens one phase has 30, the next 25, the last the rest, each beside another document; what two
    phases have of a document is two sequences."""
    ends = [(0, 30, True), (30, 55, True), (55, -1, False)]
    joined = []
    for number, (first, to, goes_on) in enumerate(ends):
        table = drawn([100, 40])
        of = [name == f"{0:032x}" for name in table.column("id").to_pylist()]
        table = table.append_column("cut_from", pa.array([first * one for one in of], pa.int64()))
        table = table.append_column("cut_to", pa.array([to if one else -1 for one in of], pa.int64()))
        table = table.append_column("goes_on", pa.array([goes_on and one for one in of]))
        (tmp_path / str(number)).mkdir()
        shard = packed(context, table, tmp_path / str(number))
        found = sorted((one.tolist() for one in Sequences(shard, "documents")), key=len)
        assert [len(one) for one in found] == sorted([(100 if to < 0 else to) - first, 40])
        joined += next(one for one in found if len(one) != 40)
    (whole,) = drawn([100]).column("tokens").to_pylist()
    assert joined == whole
