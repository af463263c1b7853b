"""The tokenizer's section: figures of the artefact, one inert piece of page, curves where they belong."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.given import JUDGEMENT, TOKENIZER
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.records.tokenizer_figures import EntryCount, TraceCount
from corpusmill.pipelines.report import charts, page
from corpusmill.pipelines.report.findings import tokenizer_findings as told
from corpusmill.pipelines.report.tokenizer import TokenizerParts, TokenizerSection, tokenizer, tokenizer_view
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.tokenizer.accept_tokenizer import AcceptTokenizer
from tests.made_records import made_manifest
from tests.oracles.tokenizer_evaluation import trained
from tests.oracles.tokenizer_texts import as_documents, made_texts

HOSTILE = "<script>\u202ealert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A step's folder with the artefact of a judgement; one source has a name that must be escaped."""
    path = tmp_path_factory.mktemp("judged")
    (path / "tokenizer.json").write_text(json.dumps(trained(made_texts(200), 600)), encoding="utf-8")
    (path / "other.json").write_text(json.dumps(trained(made_texts(30), 300)), encoding="utf-8")
    texts = made_texts(60, seed=3)
    docs = as_documents(texts, source=[HOSTILE if i % 4 == 0 else "web" for i in range(60)])
    options: dict[str, Any] = {
        "references": {"other": str(path / "other.json")},
        "require": {"bytes_per_token": {"*": 1.0}},
    }
    stage = AcceptTokenizer.model_validate(options).prepare(Context(seed=1, artefacts={"tokenizer": path}))
    with committed(path) as written:
        stage.finish(stage.map(iter([docs])), written)
    return path


@contextmanager
def committed(path: Path) -> Iterator[Path]:
    """A folder whose files become those of the complete step at `path`."""
    step = StepFolder(path)
    attempt = step.attempt(0, 1)
    yield attempt.folder
    step.write_manifest(made_manifest([attempt.commit(UnitResult(0))]))


def _record(folder: Path, gives: str = JUDGEMENT) -> Any:
    """A record of one step with an output."""
    step = SimpleNamespace(name="one", data=StepFolder(folder))
    giving = {gives: [step]}
    return SimpleNamespace(
        giving=lambda what: giving.get(what, []),
        finished_giving=lambda what: next(iter(giving.get(what, [])), None),
    )


def _section(found: Any) -> str:
    environment: Environment = page.environment()
    template = environment.get_template("tokenizer.html")
    return template.render(tokenizer=found, tokenizer_view=tokenizer_view(found))


def test_figures_and_section(folder: Path) -> None:
    found = tokenizer(_record(folder))
    assert found is not None
    assert found.verdict.accepted
    assert {one.what for one in found.judged} == {"round_trip", "bytes_per_token"}
    view = tokenizer_view(found)
    assert view.growth is not None
    html = _section(found)
    assert "<script" not in html
    assert "\u202e" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<polyline") == len(view.growth.names) == 3
    assert html.count("<circle") == 1
    whole = next(group for group in found.groups if group.group == "*")
    assert f"{whole.bytes_per_token:.3f}" in html
    assert 'badge ok">met' in html
    written = json.loads(json.dumps(encode(found)))
    assert decode(TokenizerSection, written, "twin") == found


def test_before_it_is_judged(folder: Path) -> None:
    assert tokenizer(_record(folder, TOKENIZER)) is None


def test_without_held_out_text(folder: Path, tmp_path: Path) -> None:
    stage = AcceptTokenizer(held_out=0.0).prepare(Context(seed=1, artefacts={"tokenizer": folder}))
    with committed(tmp_path) as written:
        stage.finish(stage.map(iter([as_documents(["a"])])), written)
    found = tokenizer(_record(tmp_path))
    assert "No text was held out" in _section(found)
    (finding,) = told(found, {})
    assert (finding.level, "held_out" in finding.text) == ("warning", True)


def test_findings(folder: Path) -> None:
    found = tokenizer(_record(folder))
    assert found is not None
    assert told(None, {}) == []
    parts = {
        "tokenizer": TokenizerParts(("model.dropout 0.1",), ()),
        "theirs": TokenizerParts((), ("normalizer NFC",)),
    }
    said = [(one.level, one.text) for one in told(None, parts)]
    assert said == [
        ("warning", "not used: model.dropout 0.1"),
        ("warning", "changes texts: normalizer NFC"),
    ]
    suspicious = replace(found.suspicious, traces=TraceCount(2, {"e-mail": 2}), unreachable=EntryCount(7, ()))
    found = replace(found, suspicious=suspicious)
    assert [(f.level, f.text[:2]) for f in told(found, {})] == [
        ("warning", "2 "),
        ("note", "7 "),
    ]


def test_a_threshold_missed_leaves_its_figures(folder: Path, tmp_path: Path) -> None:
    options = {"require": {"bytes_per_token": {"*": 99.0}}}
    stage = AcceptTokenizer.model_validate(options).prepare(Context(seed=1, artefacts={"tokenizer": folder}))
    with committed(tmp_path) as written, pytest.raises(UserError, match="misses 1 of 2"):
        stage.finish(stage.map(iter([as_documents(made_texts(5))])), written)
    found = tokenizer(_record(tmp_path))
    assert 'badge bad">missed' in _section(found)


def test_growth_curves_stay_inside_and_are_logarithmic() -> None:
    sizes = [1000, 2000, 4000, 8000]
    svg = str(
        charts.growth(sizes, [("a", [1.0, 2.0, 3.0, 4.0], "a")], [("ref<", 16000, 3.5)], "label", "axis")
    )
    points = re.findall(r'points="([^"]+)"', svg)[0].split(" ")
    xs = [float(point.split(",")[0]) for point in points]
    ys = [float(point.split(",")[1]) for point in points]
    assert all(math.isclose(b - a, xs[1] - xs[0], abs_tol=0.2) for a, b in itertools.pairwise(xs))
    assert ys == sorted(ys, reverse=True)
    assert all(0 <= x <= 480 for x in xs)
    assert "ref&lt;" in svg
    assert ">2k<" in svg
    assert "<polyline" in str(charts.growth([5], [("a", [1.0], "a")], [], "label", "axis"))
