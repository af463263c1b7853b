"""From edits of texts as shown to cuts of texts as written: each byte once, by the first span's reason."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.addresses import EDITS
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.run.operators import cutting
from corpusmill.pipelines.run.operators.cutting import cut_unit
from corpusmill.pipelines.storage.cuts import Spans, cut
from corpusmill.pipelines.storage.datasets import DatasetView
from tests.oracles.dedup_edits import Text

FIRST_ROW = 5  # of the unit's documents that are left; every other row is


class Shown(DatasetView):
    """A view of one unit of these texts, cut before by `earlier`, in row groups of `group` documents."""

    def __init__(self, texts: Sequence[str], earlier: Sequence[pa.Table], group: int) -> None:
        super().__init__([], [])
        self._texts, self._earlier, self._group = texts, earlier, group

    def cuts(self, unit: int) -> Spans:
        return Spans.of(list(self._earlier))

    def batches(
        self, unit: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[Documents, npt.NDArray[np.uint32]]]:
        for start in range(0, len(self._texts), self._group):
            part = self._texts[start : start + self._group]
            numbers = np.arange(start, start + len(part))
            rows = (FIRST_ROW + 2 * numbers).astype(np.uint32)
            nothing = pa.nulls(len(part), pa.string())
            text = cut(pa.array(part, pa.large_string()), self.cuts(unit).among(rows))
            columns_ = {"id": [f"{n:032x}" for n in numbers], "text": text, "source": ["s"] * len(part)}
            yield Documents(pa.table({**columns_, "url": nothing, "path": nothing})), rows


def edits_of(spans: Sequence[tuple[int, int, int, str]], survivors: Sequence[str] = ()) -> pa.Table:
    """`EDITS` of (document, start, end, reason) in unit 3; `survivors`: what keeps each of them."""
    rows: list[dict[str, Any]] = [
        {"unit": 3, "row": FIRST_ROW + 2 * document, "start": start, "end": end, "reason": reason}
        for document, start, end, reason in spans
    ]
    for row, survivor in zip(rows, survivors, strict=False):
        row |= {"survivor_id": survivor, "survivor_source": "s"}
    return pa.Table.from_pylist(rows, EDITS)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], list[list[tuple[int, float, float, str]]]]:
    """Texts, and sets of edits one after the other, their bounds as shares of the text shown then."""
    texts = draw(st.lists(st.text("aé水😀 \u3000", max_size=10), min_size=1, max_size=4))
    share = st.sampled_from([0, 0.1, 0.2, 0.3, 0.45, 0.5, 0.65, 0.8, 0.9, 1])
    edit = st.tuples(st.integers(0, len(texts) - 1), share, share, st.sampled_from(["one", "two"]))
    return texts, draw(st.lists(st.lists(edit, max_size=5), min_size=1, max_size=3))


@given(cases(), st.integers(1, 3), st.sampled_from([4, 12, 4096]), st.randoms(use_true_random=False))
def test_edits_one_after_the_other_equal_the_oracle(
    case: tuple[list[str], list[list[tuple[int, float, float, str]]]],
    group: int,
    large: int,
    order: random.Random,
) -> None:
    texts, sets = case
    oracle = [Text(text) for text in texts]
    gone: set[int] = set()
    made: list[pa.Table] = []
    for edits in sets:
        spans = []
        for document, one, other, reason in edits:
            size = len(oracle[document].shown().encode())
            start, end = sorted((int(one * size), int(other * size)))
            if document not in gone:
                spans.append((document, start, end, reason))
        order.shuffle(spans)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cutting, "LARGE", large)
            cuts, emptied = cut_unit(Shown(texts, made, group), 3, edits_of(spans), "stage")
        before = [held.shown() for held in oracle]
        now = {
            document
            for document in range(len(texts))
            if oracle[document].cut([span[1:] for span in spans if span[0] == document])
        }
        rows = emptied.to_pylist()
        assert {(row["row"] - FIRST_ROW) // 2 for row in rows} == now
        assert [row["bytes"] for row in rows] == [len(before[document].encode()) for document in sorted(now)]
        assert {(row["kind"], row["reason"], row["stage"]) for row in rows} <= {
            ("removed", "emptied", "stage")
        }
        for document in now:  # nothing is cut from a document that is removed
            oracle[document] = Text("")
        gone |= now
        made.append(cuts)
        found: list[dict[int, str]] = [{} for _ in texts]
        for row in pa.concat_tables(made).to_pylist():
            document = (row["row"] - FIRST_ROW) // 2
            assert row["unit"] == 3
            assert row["start"] < row["end"]
            for byte in range(row["start"], row["end"]):
                assert byte not in found[document]
                found[document][byte] = row["reason"]
        for document, held in enumerate(oracle):
            if document not in gone:
                assert found[document] == held.written()


def test_nothing_is_cut_between_earlier_cuts_that_touch() -> None:
    """An edit over both is one cut before them and one after."""
    before, _ = cut_unit(
        Shown(["abcdefg"], [], 2), 3, edits_of([(0, 1, 2, "one"), (0, 2, 4, "two")]), "stage"
    )
    view = Shown(["abcdefg"], [before], 2)
    cuts, _ = cut_unit(view, 3, edits_of([(0, 0, 3, "one")]), "stage")
    assert [(row["start"], row["end"]) for row in cuts.to_pylist()] == [(0, 1), (4, 6)]
    assert not Spans.of([before, cuts]).overlap()


def test_what_does_not_lie_in_its_text_or_document_is_a_fault() -> None:
    view = Shown(["abc", "de"], [], 2)
    with pytest.raises(CorpusmillError, match=r"stage cuts bytes 1 to 4 of document 0+, which has 3"):
        cut_unit(view, 3, edits_of([(0, 1, 4, "one")]), "stage")
    with pytest.raises(CorpusmillError, match=r"stage cuts bytes 2 to 1 of document 0+1"):
        cut_unit(view, 3, edits_of([(1, 2, 1, "one")]), "stage")
    with pytest.raises(CorpusmillError, match="cuts 1 spans of documents of unit 3 that are not there"):
        cut_unit(view, 3, edits_of([(0, 0, 1, "one"), (2, 0, 1, "one")]), "stage")


def test_a_few_of_the_parts_cut_are_shown_and_an_emptied_document_says_what_emptied_it() -> None:
    texts = [f"é{n}水" for n in range(6)]
    spans = [(n, 0, 5 if n == 5 else 3, "one") for n in range(6)]
    cuts, emptied = cut_unit(Shown(texts, [], 4), 3, edits_of([*spans, (5, 3, 6, "two")]), "stage")
    shown = [row["excerpt"] for row in cuts.to_pylist()]
    assert sorted(excerpt for excerpt in shown if excerpt is not None) == sorted(
        excerpt for excerpt, text in zip(shown, texts, strict=False) if excerpt == text[:2]
    )
    assert sum(excerpt is not None for excerpt in shown) == 3
    (row,) = emptied.to_pylist()
    assert row["detail"] == "3 bytes as one, 3 bytes as two of 6; nothing but white space is left"
    assert row["excerpt"] == texts[5]


@pytest.mark.parametrize(
    ("survivors", "said"),
    [
        ("ab", "kept in a, b"),
        ("bab", "kept in b, a"),
        ("abcab", "kept in a, b, c"),
        ("abcdec", "kept in a, b, c and 2 more"),
    ],
)
def test_an_emptied_document_says_what_keeps_its_parts(survivors: str, said: str) -> None:
    spans = [(0, at, at + 1, "one") for at in range(len(survivors))]
    _, emptied = cut_unit(Shown(["x" * len(spans)], [], 1), 3, edits_of(spans, survivors), "stage")
    (row,) = emptied.to_pylist()
    size = len(spans)
    assert row["detail"] == f"{size} bytes as one of {size}, {said}; nothing but white space is left"
