"""The gate: the same verdict however documents are divided, and a clear word on each threshold missed."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.held_out import HeldOut
from corpusmill.pipelines.contract.randomness import is_held_out
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.records.tokenizer_figures import EntryCount, TraceCount, Usage
from corpusmill.tokenizer.accept_tokenizer import AcceptTokenizer
from corpusmill.tokenizer.evaluation.evaluate import evaluate
from corpusmill.tokenizer.evaluation.held_sample import offered, sample, sampled_texts, smallest
from corpusmill.tokenizer.evaluation.open_tokenizer import open_tokenizer
from corpusmill.tokenizer.evaluation.requirements import Requirements, judge, told
from tests.oracles.tokenizer_evaluation import trained
from tests.oracles.tokenizer_texts import as_documents, made_texts

BUDGET = 2_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    (path / "tokenizer.json").write_text(json.dumps(trained(made_texts(200), 600)), encoding="utf-8")
    (path / "other.tokenizer.json").write_text(json.dumps(trained(made_texts(30), 300)), encoding="utf-8")
    return path


def _documents(count: int = 90) -> Documents:
    texts: list[str | None] = [*made_texts(count - 2, seed=11), "", None]
    return as_documents(
        texts,
        source=["code" if i % 3 == 2 else "web" for i in range(count)],
        lang=["zh" if i % 3 == 1 else "en" if i % 3 == 0 else None for i in range(count)],
        path=["a/b.py" if i % 3 == 2 else None for i in range(count)],
    )


def _stage(folder: Path, **options: Any) -> AcceptTokenizer:
    context = Context(seed=5, artefacts={"tokenizer": folder})
    return AcceptTokenizer.model_validate(options).prepare(context)


def _accept(stage: AcceptTokenizer, docs: Documents, out: Path) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    stage.finish(stage.combine([stage.map(iter([docs]))]), out)
    found: dict[str, Any] = json.loads((out / "acceptance.json").read_text(encoding="utf-8"))
    return found


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_any_division_gives_the_same_sample(data: st.DataObject) -> None:
    docs = _documents()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(docs) - 1), max_size=6)))
    bounds = [0, *cuts, len(docs)]
    pieces = [Documents(docs.table.slice(a, b - a)) for a, b in itertools.pairwise(bounds)]
    apart = data.draw(st.sampled_from([None, HeldOut(5, {"tokenizer": 0.4})]))
    parts = [sample(iter([piece]), 5, apart, BUDGET, 400) for piece in data.draw(st.permutations(pieces))]
    split = data.draw(st.integers(0, len(parts)))
    halves = [pa.concat_tables(half) for half in (parts[:split], parts[split:]) if half]
    whole = sample(iter([docs]), 5, apart, BUDGET, 400)
    assert smallest(pa.concat_tables([smallest(half, BUDGET) for half in halves]), BUDGET).equals(whole)


def test_the_sample_is_what_was_held_out_within_its_budget() -> None:
    docs = _documents()
    held = is_held_out(docs.column("id"), 5, 0.4)
    whole = sample(iter([docs]), 5, HeldOut(5, {"tokenizer": 0.4}), BUDGET, 400)
    texts = whole.filter(whole.column("text").is_valid())
    assert 0 < texts.num_rows <= int(held.sum())
    chosen = np.isin(docs.column("id").to_numpy(zero_copy_only=False), texts.column("id").to_pylist())
    assert not (chosen & ~held).any()
    available = offered(whole)
    capped = [min(400, len((text or "").encode())) for text in docs.text.to_pylist()]
    total = sum(size for size, kept in zip(capped, held.tolist(), strict=True) if kept)
    assert sum(available.values()) == pytest.approx(total, abs=3 * int(held.sum()))  # cut at a character
    assert set(available) == {("web", "en", None), ("web", "zh", None), ("code", "und", "python")}
    for source, lang, code in available:
        mine = [
            row
            for row in texts.to_pylist()
            if (row["source"], row["lang"], row["code"]) == (source, lang, code or "")
        ]
        assert sum(row["bytes"] for row in mine[:-1]) < BUDGET
        assert [row["draw"] for row in mine] == sorted(row["draw"] for row in mine)
    batches = list(sampled_texts(whole))
    assert sum(map(len, batches)) == texts.num_rows


def test_a_sound_tokenizer_is_accepted(folder: Path, tmp_path: Path) -> None:
    require = {
        "bytes_per_token": {"*": 1.5, "web/zh": 1.2, "*/python": 1.5},
        "fertility": {"web": 5.0},
        "continued_words": {"*": 1.0},
        "unused": 1.0,
        "unreachable": 600,
        "traces": 0,
        "digit_group": 3,
        "against": {"other": {"*": 1.0}},
    }
    stage = _stage(folder, require=require, references={"other": str(folder / "other.tokenizer.json")})
    assert stage.external_files() == (folder / "other.tokenizer.json",)
    found = _accept(stage, _documents(), tmp_path)
    assert found["accepted"]
    assert len(found["judged"]) == 11
    assert found["judged"][0] == {
        "what": "round_trip",
        "group": "every text",
        "value": 0,
        "limit": 0,
        "at_least": False,
        "met": True,
        "cure": found["judged"][0]["cure"],
    }
    assert all(one["met"] for one in found["judged"])
    assert found["groups"][0]["against"]["other"] > 1
    assert set(found["tokenizers"]) == {"tokenizer", "other"}
    assert found["bytes_per_token"] == found["groups"][0]["bytes_per_token"]


def test_units_and_their_order_do_not_change_a_byte(folder: Path, tmp_path: Path) -> None:
    docs = _documents()
    stage = _stage(folder, held_out=0.5, stratum_bytes=1024)
    cut = [Documents(docs.table.slice(a, 30)) for a in (0, 30, 60)]
    parts = [stage.map(iter([piece])) for piece in cut]
    _accept(stage, docs, tmp_path / "one")
    (tmp_path / "three").mkdir()
    stage.finish(stage.combine([parts[2], stage.combine([parts[1], parts[0]])]), tmp_path / "three")
    one, three = (tmp_path / name / "acceptance.json" for name in ("one", "three"))
    assert one.read_bytes() == three.read_bytes()


def test_each_threshold_missed_is_named(folder: Path, tmp_path: Path) -> None:
    require = {
        "bytes_per_token": {"*": 9.5, "web/zh": 0.5},
        "fertility": {"code/python": 0.5},
        "unreachable": 600,
        "digit_group": 3,
        "against": {"other": {"web/en": 30.0}},
    }
    stage = _stage(folder, require=require, references={"other": str(folder / "other.tokenizer.json")})
    with pytest.raises(UserError) as raised:
        _accept(stage, _documents(), tmp_path)
    lines = str(raised.value).splitlines()
    assert "misses 3 of 7 thresholds" in lines[0]
    assert any("bytes_per_token of *: " in line and "required at least 9.5" in line for line in lines)
    assert any("fertility of code/python: " in line and "at most 0.5" in line for line in lines)
    assert any("against other of web/en" in line and "`budgets`" in line for line in lines)
    assert not any("web/zh" in line for line in lines)
    assert not json.loads((tmp_path / "acceptance.json").read_text(encoding="utf-8"))["accepted"]


def test_judgement_of_the_vocabulary(folder: Path) -> None:
    (figures,) = evaluate([open_tokenizer(folder / "tokenizer.json")], []).values()
    suspicious = replace(
        figures.suspicious, unreachable=EntryCount(3, ()), traces=TraceCount(2, {"e-mail": 2})
    )
    trip = replace(
        figures.round_trip,
        code_points_changed=2,
        bytes_without_token=("0x00",),
        characters_spelt_wrong=None,
    )
    figures = replace(
        figures,
        usage=Usage(0, 0, 0.25, 10, 0, None, (), ()),
        suspicious=suspicious,
        round_trip=trip,
        digits=replace(figures.digits, largest_group=4),
    )
    required = Requirements(unused=0.2, unreachable=2, traces=2, digit_group=3)
    found = {one.what: one for one in judge(required, figures, ())}
    assert {what: (one.value, one.met) for what, one in found.items()} == {
        "round_trip": (3, False),
        "unused": (0.25, False),
        "unreachable": (3, False),
        "traces": (2, True),
        "digit_group": (4, False),
    }
    assert told(found["unused"]) == (
        "unused of vocabulary: 0.25, required at most 0.2; "
        "lower vocab_size, or hold out more text to measure on (`held_out`)"
    )


def test_a_tokenizer_that_changes_texts_is_refused(folder: Path, tmp_path: Path) -> None:
    definition = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    definition["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    stage = _stage(tmp_path)
    with pytest.raises(
        UserError, match=r"round_trip of every text: .* required at most 0; give a byte-level"
    ):
        _accept(stage, _documents(), tmp_path / "out")


@pytest.mark.parametrize(
    "require, words",
    [
        ({"bytes_per_token": {"wab": 1.0}}, "'wab'; did you mean 'web'"),
        ({"fertility": {"*/fr": 1.0}}, r"no held-out text of the group '\*/fr'"),
    ],
)
def test_mistyped_names_do_not_pass(
    folder: Path, tmp_path: Path, require: dict[str, Any], words: str
) -> None:
    stage = _stage(folder, require=require, references={"other": str(folder / "other.tokenizer.json")})
    with pytest.raises(UserError, match=words):
        _accept(stage, _documents(), tmp_path)


def test_a_comparison_with_no_reference_is_refused_with_the_recipe() -> None:
    given = {"require": {"against": {"outher": {"*": 1.0}}}, "references": {"other": "x.json"}}
    with pytest.raises(ValidationError, match="no reference 'outher'; did you mean 'other'"):
        AcceptTokenizer.model_validate(given)


def test_no_document_held_out(folder: Path, tmp_path: Path) -> None:
    """Nothing required: accepted, and the figures that need no text are there. Anything on text: refused."""
    found = _accept(_stage(folder, held_out=0.0), _documents(), tmp_path / "a")
    assert (found["accepted"], found["documents"], found["groups"]) == (True, 0, [])
    assert found["tokenizers"]["tokenizer"]["round_trip"]["lossless"]
    with pytest.raises(UserError, match="unused of vocabulary: not measurable"):
        _accept(_stage(folder, held_out=0.0, require={"unused": 1.0}), _documents(), tmp_path / "b")
    with pytest.raises(UserError, match="no held-out text of the group"):
        _accept(
            _stage(folder, held_out=0.0, require={"bytes_per_token": {"*": 1}}), _documents(), tmp_path / "c"
        )


def test_options() -> None:
    given = {"references": {"a": "x.json", "b": {"path": "y.tiktoken", "pattern": "cl100k"}}, "held_out": 0.1}
    stage = AcceptTokenizer.model_validate(given)
    assert AcceptTokenizer.model_validate(stage.model_dump(mode="json")) == stage
    for wrong in (
        {"require": {"bytes_per_token": {"*": 0}}},
        {"require": {"byte_per_token": {"*": 2}}},
        {"require": {"unused": 1.5}},
        {"references": {"tokenizer": "x"}},
        {"held_out": 2},
    ):
        with pytest.raises(ValidationError):
            AcceptTokenizer.model_validate(wrong)
    with pytest.raises(RuntimeError, match="prepared"):
        AcceptTokenizer().finish(pa.table({}), Path("x"))
