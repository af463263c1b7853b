"""Blocks of datatrove as steps: real ones, and small ones of a plugin for what real ones rarely do."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.filters.datatrove import Datatrove
from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.documents import RAW_FIELDS, Documents
from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.contract.stage import Context, Outcome
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.operators.job import build_stage
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.run.step import StageSpec
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.oracles.filters_documents import documents

pytest.importorskip("datatrove", reason="datatrove is not installed")

FILTERS, FORMATTERS = "datatrove.pipeline.filters", "datatrove.pipeline.formatters"
PROSE = "We met him in the morning. He was tall!\nNobody spoke? It rained all day long.\nMenu"
BLOCKS = """
import random
import socket

from datatrove.pipeline.extractors.base import BaseExtractor
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters.base import BaseFormatter

class Marks(BaseFilter):
    def __init__(self, below=0.5):
        super().__init__()
        self.below = below
        self.seen = 0

    def filter(self, doc):
        self.seen += 1
        doc.metadata["seen"] = self.seen
        doc.metadata["url"] = "http://example.org/new"
        doc.metadata["drawn"] = random.random()
        if "raise" in doc.text:
            raise ValueError("asked to")
        if "odd" in doc.text:
            doc.metadata["what"] = object()
        return True if doc.metadata["drawn"] >= self.below else (False, "drawn")

class Calls(BaseFormatter):
    def format(self, text):
        try:
            socket.create_connection(("127.0.0.1", int(text))).close()
        except OSError:
            pass
        return text

class Twice(BaseFilter):
    def filter(self, doc):
        return True

    def run(self, data, rank=0, world_size=1):
        for doc in data:
            yield doc
            yield doc

class Upper(BaseExtractor):
    def __init__(self):
        super().__init__()

    def extract(self, text):
        return text.upper().strip() or None
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "blocks.py").write_text(dedent(BLOCKS))
    plugins.use_plugins([tmp_path / "blocks.py"])
    yield
    plugins.clear_plugins()


def ready(block: str, seed: int = 3, **options: Any) -> Datatrove:
    return Datatrove(block=block, **options).prepare(Context(seed))


def apply(stage: Datatrove, *texts: str) -> list[tuple[str | None, str | None]]:
    outcome = stage.apply(documents(texts))
    return list(zip(outcome.reasons.to_pylist(), outcome.documents.text.to_pylist(), strict=True))


def test_a_filter_that_edits_as_datatrove_does_it_alone() -> None:
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter

    options = {"min_num_sentences": -1}
    texts = (PROSE, "Lorem ipsum dolor sit amet.", "function f() { return 1.", "short")
    alone = C4QualityFilter(**options)
    wanted = []
    for text in texts:
        document = Document(text=text, id="x")
        answer = alone.filter(document)
        wanted.append((None, document.text) if answer is True else (answer[1], text))
    stage = ready(f"{FILTERS}.C4QualityFilter", options=options)
    assert apply(stage, *texts) == wanted
    assert [reason for reason, _ in wanted] == [None, "lorem_ipsum", "curly_bracket", None]
    assert stage.name == "datatrove:C4QualityFilter"


def test_a_filter_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are split by a stand-in: datatrove's own needs spaCy."""
    monkeypatch.setattr(
        f"{FILTERS}.gopher_quality_filter.split_into_words", lambda text, language: text.split()
    )
    good = "the cat and the dog that have been with us are of one house " * 5
    found = apply(ready(f"{FILTERS}.GopherQualityFilter"), good, "too short", good.replace("the", "#"))
    assert [reason for reason, _ in found] == [None, "gopher_short_doc", "gopher_too_many_hashes"]


def test_a_filter_without_reasons() -> None:
    found = apply(ready(f"{FILTERS}.RegexFilter", options={"regex_exp": "b+"}), "abba", "x")
    assert found == [("dropped", "abba"), (None, "x")]


def test_a_formatter_begins_anew_at_every_document() -> None:
    """datatrove's own takes its stand-ins for addresses in turn, over all documents of a process."""
    stage = ready(f"{FORMATTERS}.PIIFormatter")
    once = apply(stage, "write to a.person@mail.example now")
    assert once == [(None, "write to email@example.com now")]
    assert apply(stage, *["write to a.person@mail.example now"] * 3) == once * 3


def test_draws_follow_from_seed_and_id_wherever_the_batch_is_cut() -> None:
    texts = [f"text {n}" for n in range(200)]
    stage = ready(f"{FILTERS}.SamplerFilter", options={"rate": 0.3})
    docs = documents(texts)
    whole = stage.apply(docs).reasons.to_pylist()
    parts = [
        *stage.apply(docs.slice(0, 77)).reasons.to_pylist(),
        *stage.apply(docs.slice(77, 123)).reasons.to_pylist(),
    ]
    assert whole == parts
    assert 30 < whole.count(None) < 90
    assert (
        ready(f"{FILTERS}.SamplerFilter", 4, options={"rate": 0.3}).apply(docs).reasons.to_pylist() != whole
    )


@pytest.mark.usefixtures("plugin")
def test_metadata_come_and_go() -> None:
    docs = documents(["one", "two"], path=["a/b.py", None])
    docs = docs.with_columns({"meta": pa.array(['{"id": 7, "k": [1]}', "{}"])})
    stage = ready("blocks.Marks", options={"below": 0.0})
    before = np.random.get_state()[1].tolist()
    rows = stage.apply(docs).documents.table.to_pylist()
    assert np.random.get_state()[1].tolist() == before
    assert [(row["url"], row["path"]) for row in rows] == [
        ("http://example.org/new", "a/b.py"),
        ("http://example.org/new", None),
    ]
    metas = [json.loads(row["meta"]) for row in rows]
    assert [meta.pop("drawn") for meta in metas] != [metas[0].get("drawn")] * 2
    assert metas == [{"id": 7, "k": [1], "seen": 1}, {"seen": 1}]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    "text, words",
    [
        ("raise", "asked to"),
        ("odd", "metadata `what` cannot be written as JSON: it holds a value of the type object"),
    ],
)
def test_what_a_block_does_wrong_is_raised_for_the_runner(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        apply(ready("blocks.Marks", options={"below": 0.0}), text)


@pytest.mark.usefixtures("plugin")
def test_metadata_as_deep_as_readers_let_them_in() -> None:
    meta = '{"a": ' + "[" * 511 + "]" * 511 + "}"
    docs = documents(["one"]).with_columns({"meta": pa.array([meta])})
    stage = ready("blocks.Marks", options={"below": 0.0})
    (made,) = stage.apply(docs).documents.column("meta").to_pylist()
    assert json.loads(made)["a"] == json.loads(meta)["a"]


@pytest.mark.usefixtures("plugin")
def test_more_documents_than_came_are_refused() -> None:
    with pytest.raises(UserError, match="makes 2 documents of one"):
        apply(ready("blocks.Twice"), "x")


@pytest.mark.usefixtures("plugin")
def test_no_network_unless_it_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with pytest.raises(UserError, match=r"Calls asks for 127.0.0.1 over the network; .*`network: true`"):
            apply(ready("blocks.Calls"), port)
        assert apply(ready("blocks.Calls", network=True), port) == [(None, port)]
        socket.create_connection(("127.0.0.1", int(port))).close()  # outside of blocks nothing is held back


def raw(*pages: bytes | None) -> Documents:
    docs = documents([None] * len(pages))
    return docs.with_columns(
        {
            "raw": pa.array(pages, RAW_FIELDS[0].type),
            "content_type": pa.array(["text/html; charset=windows-1252"] * len(pages)),
        }
    )


def outcome_of(stage: Datatrove, docs: Documents) -> tuple[Outcome, list[str | None]]:
    outcome = stage.apply(docs)
    return outcome, outcome.reasons.to_pylist()


def test_an_extractor_reads_raw_pages() -> None:
    text = ("A café by the river is open. " * 9).strip()
    page = f"<html><body><article><p>{text}</p></article></body></html>"
    stage = ready("datatrove.pipeline.extractors.Trafilatura", options={"deduplicate": False})
    assert stage.consumes == ("raw", "content_type")
    outcome, reasons = outcome_of(stage, raw(page.encode("cp1252"), b"<html></html>"))
    assert reasons == [None, "empty"]
    assert outcome.documents.text[0].as_py() == text
    assert "raw" not in outcome.documents.table.column_names
    assert "raw" not in stage.apply(raw()).documents.table.column_names


@pytest.mark.usefixtures("plugin")
def test_an_extractor_reads_texts_where_asked() -> None:
    stage = ready("blocks.Upper", html="text")
    assert stage.consumes == ("text",)
    assert apply(stage, "a", " ") == [(None, "A"), ("empty", " ")]


@pytest.mark.usefixtures("plugin")
def test_a_worker_builds_the_same_step() -> None:
    spec = StageSpec.of(Datatrove(block="blocks.Marks", label="mine"))
    assert spec.name == "datatrove:mine"
    built = build_stage(spec)
    assert built.name == "datatrove:mine"
    assert [path.name for path in built.external_files()] == ["blocks.py"]
    assert Datatrove(block="datatrove.pipeline.extractors.Trafilatura").libraries == (
        "datatrove",
        "trafilatura",
    )


@pytest.mark.parametrize(
    "block, options, words",
    [
        (f"{FILTERS}.GopherQuality", {}, "has no class `GopherQuality`; did you mean `GopherQualityFilter`"),
        ("datatrove.pipeline.filter.X", {}, "datatrove has no module `datatrove.pipeline.filter`"),
        (f"{FILTERS}.LambdaFilter", {}, "missing a required argument: 'filter_function'"),
        (f"{FILTERS}.RegexFilter", {"regex": "x"}, "has no option `regex`; did you mean `regex_exp`"),
        ("datatrove.pipeline.writers.JsonlWriter", {}, "is no filter, formatter or extractor"),
        ("datatrove.pipeline.readers.CSVReader", {}, "is a reader; write it under `read"),
        ("os.path.PathLike", {}, "neither a class below `datatrove.` nor"),
        ("subprocess.Popen", {"args": "x"}, "neither a class below `datatrove.` nor"),
    ],
)
def test_what_cannot_stand_there_is_told(block: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Datatrove(block=block, options=options)


def test_a_run_with_several_blocks_has_their_reasons(tmp_path: Path) -> None:
    lines = [{"text": text, "url": "http://a.example"} for text in (PROSE, "Lorem ipsum is here.", "b c d.")]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (tmp_path / "r.yaml").write_text(
        "name: t\nengine: {kind: inline}\nsources:\n  a:\n    read: {jsonl: a.jsonl}\n    steps:\n"
        f"    - datatrove: {{block: {FILTERS}.C4QualityFilter, options: {{min_num_sentences: -1}}}}\n"
        f"    - datatrove: {{block: {FILTERS}.RegexFilter, options: {{regex_exp: tall}}, label: tall}}\n"
        f"    - datatrove: {{block: {FILTERS}.RegexFilter, options: {{regex_exp: wide}}}}\n"
    )
    run_recipe(load_recipe(tmp_path / "r.yaml"))
    (version,) = (tmp_path / "runs" / "t" / "steps" / "a").iterdir()
    entries = {entry.stage: entry for entry in StepFolder(version).need_manifest().ledger}
    assert {stage: set(entry.removed) for stage, entry in entries.items()} == {
        "read": set(),
        "datatrove:C4QualityFilter": {"lorem_ipsum"},
        "datatrove:tall": {"dropped"},
        "datatrove:RegexFilter": set(),
    }
    assert entries["datatrove:RegexFilter"].documents_kept == 1
    twice = (tmp_path / "r.yaml").read_text().replace(", label: tall", "")
    (tmp_path / "r.yaml").write_text(twice)
    with pytest.raises(RecipeError, match="`datatrove:RegexFilter` stands here already, as entry 1"):
        load_recipe(tmp_path / "r.yaml")
