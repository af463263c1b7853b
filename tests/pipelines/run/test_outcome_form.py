"""What maps give is checked: the stage is named with cause and cure, and no broken text is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.documents import SCHEMA, Documents, nothing
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.stage import Edit, Outcome
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.operators.outcome_form import checked

TEXTS = ["one", "two", "水"]


def documents() -> Documents:
    rows = [
        {"id": f"{number:032x}", "text": text, "source": "web", "domain": "web", "meta": "{}"}
        for number, text in enumerate(TEXTS)
    ]
    return Documents(pa.Table.from_pylist(rows, SCHEMA))


class Change(Edit):
    """Gives what a test says."""

    def edit(self, docs: Documents) -> Any:
        return MADE[0](docs)


MADE: list[Callable[[Documents], Any]] = []


def changed(make: Callable[[Documents], Any]) -> Outcome:
    MADE[:] = [make]
    return checked(Change(), documents())


def large(parts: list[bytes]) -> pa.Array:
    """large_string of these bytes, whatever they are."""
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(parts), pa.py_buffer(ends), pa.py_buffer(b"".join(parts)))


def cut(docs: Documents, sizes: list[Any]) -> Outcome:
    return Outcome(docs, nothing(3), nothing(3), {"x": np.array(sizes)})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda docs: docs.with_columns({"text": pa.array(TEXTS)}),
            r"gives 'text' as string, but it is large_string; write pa\.array\(texts, pa\.large_string\(\)\)",
        ),
        (lambda docs: docs.with_columns({"text": docs.text.cast(pa.large_binary())}), "as large_binary, but"),
        (lambda docs: docs.with_columns({"text": docs.text.dictionary_encode()}), "as dictionary<"),
        (lambda docs: docs.with_columns({"lang": pa.array([1, 2, 3])}), r"'lang' as int64.*pa\.string\(\)\)"),
        (lambda docs: docs.with_columns({"meta": pa.nulls(3, pa.string())}), "gives null as 'meta'.*fill it"),
        (lambda docs: docs.with_columns({"source": pa.array(["a"] * 3)}), "changed sources or their order"),
        (lambda docs: docs.with_columns({"id": docs.column("id")[::-1]}), "changed ids or their order"),
        (lambda docs: docs.drop("text"), "leaves out the column 'text'; hand it on"),
        (lambda docs: docs.drop("meta"), "leaves out the column 'meta'; hand it on"),
        (lambda docs: docs.drop("source"), "leaves out the column 'source'; hand it on"),
        (lambda docs: None, "must give Documents or an Outcome of them; it gave NoneType"),
        (lambda docs: docs.table, "it gave Table"),
        (lambda docs: Outcome(docs.table, nothing(3), nothing(3)), "it gave Table"),
        (
            lambda docs: Outcome(docs, ["x"] * 3, nothing(3)),
            "its reasons must be .* strings, .* it gave list",
        ),
        (lambda docs: Outcome(docs, nothing(3), pa.array([1, 2, 3])), "its faults must be .* it gave int64"),
        (lambda docs: docs.slice(0, 2), "3 rows in, 2 rows, 3 reasons and 3 faults out"),
        (lambda docs: cut(docs, [1, 1]), r"cut for 'x' must be int64\[n\], one number a row"),
        (lambda docs: cut(docs, [1.0, 1.0, 1.0]), r"cut for 'x' must be int64\[n\], one number a row"),
        (lambda docs: cut(docs, [0, -1, 0]), "cut under 0 bytes for 'x'"),
        (lambda docs: cut(docs, [0, 0, 1_000]), "cut more bytes of a text than came"),
    ],
)
def test_a_wrong_form_is_told(make: Callable[[Documents], Any], said: str) -> None:
    with pytest.raises(CorpusmillError, match=said):
        changed(make)


@pytest.mark.parametrize(
    "make",
    [
        lambda docs: docs,
        lambda docs: docs.with_columns({"text": pa.array(["", "b", None], pa.large_string())}),
        lambda docs: docs.with_columns({"text": pa.array(["cut off", *TEXTS], pa.large_string()).slice(1)}),
        lambda docs: docs.with_columns({"lang": pa.array(["en"] * 3), "change.score": np.zeros(3)}),
        lambda docs: docs.drop("text", "meta").with_columns({"bytes": np.zeros(3, np.int64)}),
        lambda docs: Outcome(docs, pa.nulls(3), pa.array(["x", None, None], pa.large_string())),
        lambda docs: cut(docs, [1, 0, 0]),
    ],
)
def test_a_right_form_is_taken(make: Callable[[Documents], Any]) -> None:
    assert len(changed(make).documents) == len(TEXTS)


def test_a_text_that_is_not_utf8_is_quarantined_alone() -> None:
    def broken(docs: Documents) -> Documents:
        texts = [text.encode() for text in docs.text.to_pylist()]
        return docs.with_columns(
            {"text": large([text[:2] if len(text.decode()) == 1 else text for text in texts])}
        )

    MADE[:] = [broken]
    maps = FusedMaps([Change()], Ledger())
    kept = maps.push(documents())
    assert kept.text.to_pylist() == ["one", "two"]
    (reason,) = maps.removed().column("reason").to_pylist()
    assert reason == "DataError"
