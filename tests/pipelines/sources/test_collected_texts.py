"""What a reader hands to its collector as text, and what arrives in the batch."""

from __future__ import annotations

import pyarrow as pa
import pytest

from corpusmill.pipelines.sources.assembly.batches import Collector
from corpusmill.pipelines.sources.reader import Label

TEXTS = ["", "Straße", "頁\N{SLIGHTLY SMILING FACE}"]
FORMS = {
    "str": TEXTS,
    "bytes": [text.encode() for text in TEXTS],
    "memoryview": [memoryview(text.encode()) for text in TEXTS],
    "mixed": [TEXTS[0], TEXTS[1].encode(), memoryview(TEXTS[2].encode())],
}


def collected(texts: list[str | bytes | memoryview | None]) -> pa.ChunkedArray:
    collector = Collector(Label("web", "general"))
    for number, text in enumerate(texts):
        collector.add(f"file:{number}", b"record", text=text, meta={})
    column = collector.take().documents.text
    assert column.type == pa.large_string()
    return column


@pytest.mark.parametrize("form", FORMS)
def test_a_text_may_be_characters_or_their_bytes(form: str) -> None:
    assert collected(list(FORMS[form])).to_pylist() == TEXTS


def test_a_document_without_a_text_has_a_null_beside_the_texts_of_others() -> None:
    assert collected(["a", None, memoryview(b"b")]).to_pylist() == ["a", None, "b"]
    assert collected([None]).to_pylist() == [None]


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        collected([b"sound", b"\xff"])
