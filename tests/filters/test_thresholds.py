"""Options that a filter calls thresholds change no score, and every limit of its rules is drawn as a line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.rooms import names
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.recipe.registry import find

TEXTS = [
    "The first line ends here.\nAnd the second one, with the words that have to be there.\n\n- a bullet\n- b",
    "# # # ...\n\n{ int main() { return 0; } }\n" * 4,
    "我们在这里写一些中文。这是第二句话，它没有意思。" * 12,
    "Let $x^2 + y^2 = z^2$ be a theorem; we prove the lemma by induction. 3 + 4 = 7." * 3,
    "",
    "short",
    "the the the the the and and and of of of to be have with that " * 30,
    '<?xml version="1.0"?><html><body>visible text stands here</body></html>',
]
FILTERS = sorted(  # but those that need a file, an artefact or another option
    name
    for name in names("filters")
    if issubclass(kind := find("filters", name), Filter)
    and not kind.artefacts
    and not any(field.is_required() for field in kind.model_fields.values())
)


def documents() -> Documents:
    draw = random.Random(2)
    texts = [*TEXTS, *(" ".join(draw.choice(TEXTS[0].split()) for _ in range(n)) for n in (5, 60, 400))]
    rows = [
        {
            "id": f"{number:032x}",
            "text": text,
            "source": "web",
            "domain": "web",
            "lang": "zh" if "我" in text else "en",
            "path": ["a.py", "b.json", "c.html", "d.min.js"][number % 4],
            "meta": "{}",
        }
        for number, text in enumerate(texts)
    ]
    return Documents(pa.Table.from_pylist(rows, schema=SCHEMA))


def others(value: Any) -> Iterator[Any]:
    """Values that differ from one, of its kind."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 7, max(1, value // 2))
    elif isinstance(value, float):
        yield from (value * 0.5, value * 0.9)
    elif isinstance(value, dict):
        yield {key: next(others(inner)) for key, inner in value.items()}


def scores(stage: Filter) -> dict[str, list[Any]]:
    found = stage.prepare(None).score(documents())  # type: ignore[arg-type]  # none of these needs a context
    return {name: pa.array(np.asarray(v)).to_pylist() if isinstance(v, np.ndarray) else v.to_pylist()
            for name, v in found.items()}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_thresholds_change_no_score(name: str) -> None:
    kind = find("filters", name)
    stage = kind()
    assert isinstance(stage, Filter)
    before = scores(stage)
    options = stage.model_dump()
    tried = 0
    for option in sorted(stage.thresholds()):
        for value in others(options[option]):
            changed = kind.model_validate({option: value})
            assert isinstance(changed, Filter)
            assert changed.measuring() == stage.measuring(), option
            assert repr(scores(changed)) == repr(before), (option, value)
            tried += 1
    assert tried or not stage.thresholds()


@pytest.mark.parametrize("name", ["gopher_quality", "gopher_repetition", "fineweb_quality"])
def test_limits_of_a_language_are_thresholds_too(name: str) -> None:
    kind = find("filters", name)
    stage = kind()
    assert isinstance(stage, Filter)
    code, own = next(iter(stage.model_dump()["by_language"].items()))
    option = next(o for o in sorted(stage.thresholds()) if isinstance(own.get(o), (int, float, dict)))
    entry = {**own, option: next(others(own[option]))}
    changed = kind.model_validate({"by_language": {**stage.model_dump()["by_language"], code: entry}})
    assert isinstance(changed, Filter)
    assert changed.measuring() == stage.measuring()
    assert repr(scores(changed)) == repr(scores(stage))
    groups = {line.group for line in stage.lines()}
    assert {None, code} <= groups


def placed(value: Any, folder: Path) -> Any:
    """`w` as a file of `folder`, in mappings too."""
    if isinstance(value, dict):
        return {key: placed(inner, folder) for key, inner in value.items()}
    return folder / "w" if value == "w" else value


@pytest.mark.parametrize(
    ("name", "options", "thresholds"),
    [
        ("bad_words", {"lists": {"zh": "w"}}, {"keep_share": 0.5}),
        ("url_rules", {"soft_words": "w"}, {"soft_words_at_least": 1}),
        ("listed", {"file": "w", "column": "path"}, {"remove": "unlisted"}),
        ("regular_expression", {"patterns": {"is": "(?i)the"}}, {"remove": "other"}),
        ("expression", {"keep": {"long": "length(text) > 90"}}, {}),
    ],
)
def test_thresholds_of_filters_by_lists_and_conditions(
    tmp_path: Path, name: str, options: dict[str, Any], thresholds: dict[str, Any]
) -> None:
    """`what-if` and a rerun ask for other thresholds without the texts; every other option is measured."""
    (tmp_path / "w").write_text("我们\nexample\na.py\n", "utf-8")
    kind = find("filters", name)
    options = {key: placed(value, tmp_path) for key, value in options.items()}
    stage, changed = kind.model_validate(options), kind.model_validate({**options, **thresholds})
    assert isinstance(stage, Filter)
    assert isinstance(changed, Filter)
    assert stage.thresholds() == thresholds.keys()
    docs = documents().with_columns({"url": pa.array(["http://example.org/a"] * len(documents()))})
    before, after = (one.prepare(Context(seed=1)).apply(docs) for one in (stage, changed))
    assert before.documents.table == after.documents.table
    assert bool(thresholds) == (before.reasons != after.reasons)


def test_what_a_score_is_measured_by_is_no_threshold() -> None:
    quality = find("filters", "gopher_quality")
    changed, stage = quality.model_validate({"stop_words": ["a", "in"]}), quality()
    assert isinstance(changed, Filter)
    assert isinstance(stage, Filter)
    assert changed.measuring() != stage.measuring()
    repetition = find("filters", "gopher_repetition")
    fewer, whole = repetition.model_validate({"max_top_ngrams": {2: 0.2}}), repetition()
    assert isinstance(fewer, Filter)
    assert isinstance(whole, Filter)
    assert fewer.measuring() != whole.measuring()


def test_lines_are_the_limits_that_are_not_switched_off() -> None:
    stage = find("filters", "gopher_quality").model_validate({"max_words": None, "by_language": {}})
    assert isinstance(stage, Filter)
    lines = {line.option: (line.score, line.side, line.value) for line in stage.lines()}
    assert lines["min_words"] == ("words", "under", 50.0)
    assert "max_words" not in lines
    own = find("filters", "language")()
    assert isinstance(own, Filter)
    assert [(line.option, line.value) for line in own.lines()] == [("at_least", 0.65)]
