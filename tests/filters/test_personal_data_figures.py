"""Precision and recall of `personal_data` on planted values among hard negatives, and linear time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from corpusmill.filters.personal_data import PersonalData
from tests.oracles.filters_documents import documents

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def texts() -> ModuleType:
    """The generator of the benchmark."""
    spec = importlib.util.spec_from_file_location("personal_texts", BENCHMARKS / "personal_texts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["personal_texts"] = module
    spec.loader.exec_module(module)
    return module


def test_planted_values_are_found_and_little_else(texts: ModuleType) -> None:
    made = texts.made(7, 800)
    outcome = PersonalData().apply(documents([text for text, _ in made]))
    listed = outcome.documents.column("personal_data.spans").to_pylist()
    for kind in texts.MAKERS:
        right = caught = given = hits = 0
        for (text, planted), spans in zip(made, listed, strict=True):
            values = [(s, e) for k, s, e in texts.overlaps(text, planted) if k == kind]
            mine = [(span["start"], span["end"]) for span in spans if span["kind"] == kind]
            right, given = right + len(values), given + len(mine)
            caught += sum(any(s < b and a < e for a, b in mine) for s, e in values)
            hits += sum(any(s < b and a < e for s, e in values) for a, b in mine)
        assert right > 100, kind
        assert caught / right >= 0.95, kind
        assert hits / given >= 0.95, kind


def test_a_masked_text_holds_nothing_any_more(texts: ModuleType) -> None:
    made = texts.made(8, 100)
    masked = PersonalData().apply(documents([text for text, _ in made])).documents
    again = PersonalData().apply(documents(masked.text.to_pylist()))
    assert again.documents.text.equals(masked.text)
    for text, (_, planted) in zip(masked.text.to_pylist(), made, strict=True):
        for kind, value in planted:
            if kind in ("card", "iban", "email"):
                assert value not in text
