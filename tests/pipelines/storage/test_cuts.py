"""Spans cut from texts, on whole characters, however the texts lie in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.receipt import MaskPart, UnitResult
from corpusmill.pipelines.storage import cuts as module
from corpusmill.pipelines.storage.cuts import CUTS, EDITS_FILE, Spans, cut, narrowed, write_cuts
from corpusmill.pipelines.storage.datasets import DatasetView
from corpusmill.pipelines.storage.removed import REMOVED, write_removed
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_datasets import dataset
from tests.made_records import made_manifest

texts = st.lists(st.one_of(st.none(), st.text("aé水😀 \n", max_size=12)), min_size=1, max_size=5)


def spans(rows: list[tuple[int, int, int]]) -> Spans:
    row, start, end = (
        (np.array(column, np.int64) for column in zip(*rows, strict=True)) if rows else ([],) * 3
    )
    return Spans(np.asarray(row, np.int64), np.asarray(start, np.int64), np.asarray(end, np.int64))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str | None], list[tuple[int, int, int]]]:
    """Texts, and disjoint spans of whole characters in them, in order."""
    found = draw(texts)
    rows = []
    for row, text in enumerate(found):
        bounds = draw(st.lists(st.integers(0, len(text or "")), unique=True, max_size=6))
        ends = [len((text or "")[:place].encode()) for place in sorted(bounds)]
        rows += [(row, start, end) for start, end in zip(ends[::2], ends[1::2], strict=False)]
    return found, rows


@given(cases(), st.integers(0, 3), st.integers(1, 40))
def test_what_is_left_is_the_rest_of_the_bytes(
    case: tuple[list[str | None], list[tuple[int, int, int]]], before: int, at_once: int
) -> None:
    found, rows = case
    column = pa.array(["x é"] * before + found, pa.large_string()).slice(before)
    wanted = []
    for row, text in enumerate(found):
        held = bytearray((text or "").encode())
        for _, start, end in reversed([span for span in rows if span[0] == row]):
            del held[start:end]
        wanted.append(None if text is None else held.decode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", at_once)
        assert cut(column, spans(rows)).to_pylist() == wanted
    assert spans(rows).lengths(len(found)).sum() == sum(end - start for _, start, end in rows)


@given(st.text("aé水😀", max_size=8), st.integers(0, 32), st.integers(0, 32))
def test_a_span_is_narrowed_to_the_characters_that_it_holds(text: str, one: int, other: int) -> None:
    size = len(text.encode())
    start, end = sorted((min(one, size), min(other, size)))
    column = pa.array(["é", text, "é"], pa.large_string())
    found = narrowed(column, spans([(1, start, end)]))
    at, held = 0, ""
    for char in text:
        if start <= at and at + len(char.encode()) <= end:
            held += char
        at += len(char.encode())
    assert text.encode()[found.start[0] : found.end[0]].decode() == held
    assert 0 <= found.start[0] <= found.end[0] <= size


def test_spans_of_tables_are_sorted_and_told_apart() -> None:
    words = dict.fromkeys(("id", "source", "stage", "reason"), "")
    rows = [(7, 4, 6), (7, 0, 2), (3, 1, 2), (7, 2, 4)]
    table = pa.Table.from_pylist(
        [{"unit": 0, "row": row, "start": start, "end": end, **words} for row, start, end in rows], CUTS
    )
    found = Spans.of([table.slice(0, 2), table.slice(2)])
    assert [found.row.tolist(), found.start.tolist()] == [[3, 7, 7, 7], [1, 0, 2, 4]]
    assert not found.overlap()
    here = found.among(np.array([2, 7, 9], np.uint32))
    assert [here.row.tolist(), here.end.tolist()] == [[1, 1, 1], [2, 4, 6]]
    assert Spans.of([table, table]).overlap()
    assert len(Spans.of([])) == len(found.among(np.zeros(0, np.uint32))) == 0


def test_a_span_beyond_its_text_is_no_text_of_the_next() -> None:
    with pytest.raises(ValueError, match="ends beyond its text"):
        cut(pa.array(["ab", "cd"], pa.large_string()), spans([(0, 1, 3)]))


def mask(folder: Path, rows: list[tuple[int, int, int]]) -> StepFolder:
    """A mask of unit 0 that removes nothing and cuts (row, start, end)."""
    step = StepFolder(folder)
    attempt = step.attempt(0, 1)
    words = dict.fromkeys(("id", "source", "stage", "reason"), "")
    spans = [{"unit": 0, "row": row, "start": start, "end": end, **words} for row, start, end in rows]
    write_removed(attempt.file("removed.arrow"), [REMOVED.empty_table()])
    write_cuts(attempt.file(EDITS_FILE), [pa.Table.from_pylist(spans, CUTS)])
    step.write_manifest(made_manifest([attempt.commit(UnitResult(0, part=MaskPart(64, {})))]))
    return step


def test_a_view_leaves_out_what_its_masks_cut_in_any_order(tmp_path: Path) -> None:
    documents = dataset(tmp_path / "documents", ["é water", "stone", "mill"])
    one, other = mask(tmp_path / "one", [(0, 0, 3), (2, 1, 4)]), mask(tmp_path / "other", [(0, 5, 8)])
    for masks in ([one, other], [other, one]):
        view = DatasetView([documents], masks)
        ((docs, _),) = view.batches(0)
        assert docs.text.to_pylist() == ["wa", "stone", "m"]
        assert docs.sizes().tolist() == [2, 5, 1]
        ((ids, _),) = view.batches(0, ["id"])
        assert len(ids) == 3
    twice = DatasetView([documents], [one, mask(tmp_path / "twice", [(0, 2, 5)])])
    with pytest.raises(IntegrityError, match="unit 0: a byte is cut twice"):
        list(twice.batches(0))
    beyond = DatasetView([documents], [mask(tmp_path / "beyond", [(2, 3, 5)])])
    with pytest.raises(IntegrityError, match="unit 0: a span ends beyond its text"):
        list(beyond.batches(0))
