"""Every kind of thing a run holds can be inspected, and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.found import Found
from corpusmill.pipelines.inspection.inspect import inspect
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.records.codec import encode_told
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from tests.pipelines.inspection import made_run as made


def _step(run: RunFolder, name: str) -> StepFolder:
    step = run.current_step(name)
    assert step is not None
    return step


def _shown(found: Found) -> str:
    """Rendered; the same as JSON, as the command line's `--json` makes it, has nothing but JSON in it."""
    text = render_inspection(found)
    assert json.loads(json.dumps(encode_told(found)))["kind"] == found.KIND
    assert "\x1b" not in text
    assert "\u202e" not in text
    return text


def test_a_run(run: RunFolder) -> None:
    found = inspect(run.path)
    assert (found.KIND, found.name, found.seed) == ("run", "made", 5)
    assert all(step.state == "complete" for step in found.steps)
    web = found.sources["web"]
    encode = _step(run, "encode").need_manifest()
    left = sum(unit.sources.get("web", (0, 0))[0] for unit in encode.units)
    assert (web.documents_read, web.documents) == (205, left)
    sources = found.mixture.sources
    assert sources["web"].achieved_share + sources["code"].achieved_share == pytest.approx(1)
    assert sources["code"].epochs <= 2
    assert (sources["code"].cause, sources["code"].cut) == ("max_epochs", ())
    assert sources["web"].shortfall is None
    assert sources["web"].achieved_tokens == sources["web"].requested_tokens == 50_000
    assert found.packing.tokens == found.mixture.achieved_tokens
    assert found.packing.rows * 128 == found.packing.tokens + found.packing.padding
    assert all((run.path / found.packing.folder / file).exists() for file in found.packing.files)
    shown = _shown(found)
    assert "dedup.exact" in shown
    assert f"code: {sources['code'].shortfall}" in shown
    assert f"web: document {sources['web'].cut[0].document} is cut to its first" in shown
    assert "fill-in-the-middle" in shown
    windows = found.windows.measured
    assert windows.within
    assert sum(shard.tokens for shard in windows.shards) == found.packing.tokens
    (phase,) = windows.phases
    assert {one.source: one.share for one in phase.windows[0].sources} == pytest.approx(
        {name: source.achieved_share for name, source in sources.items()}
    )
    assert "windows, by the order that is a loader's, of rows, with the seed 5" in shown
    assert "points of the shares of their phase" in shown


def test_a_step_by_its_version_its_data_and_its_name(run: RunFolder) -> None:
    step = _step(run, "dedup.exact")
    found = inspect(step.path)
    assert (found.KIND, found.name, found.state) == ("step", "dedup.exact", "complete")
    assert found.rows == step.need_manifest().rows
    assert inspect(step.data) == found
    assert inspect(run.path / "steps" / "dedup.exact") == found
    assert "exact_duplicate" in _shown(found)


def test_an_unfinished_step(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "web" / "abc" / "receipts").mkdir(parents=True)
    found = inspect(tmp_path / "web" / "abc")
    assert (found.state, found.name) == ("unfinished", "web")
    assert "not complete" in _shown(found)


def test_a_dataset(run: RunFolder) -> None:
    path = _step(run, "web").data / "00000.parquet"
    found = inspect(path, limit=2)
    table = pq.read_table(path)
    assert (found.KIND, found.rows) == ("dataset", table.num_rows)
    assert found.counts["source"] == {"web": table.num_rows}
    assert found.scores == ("enough_words.words",)
    assert [row["id"] for row in found.first_rows] == table.column("id").to_pylist()[:2]
    assert table.column("id")[0].as_py() in _shown(found)
    assert inspect(path, limit=0).first_rows == ()


def test_encoded_documents(run: RunFolder) -> None:
    path = _step(run, "encode").data / "00000.arrow"
    found = inspect(path)
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    assert found.KIND == "encoded dataset"
    assert found.sources["web"].tokens == sum(len(tokens) for tokens in table.column("tokens").to_pylist())
    assert found.fim_documents == sum(table.column("fim").to_pylist())
    assert "web" in _shown(found)


def test_removed_documents_with_hostile_excerpts(run: RunFolder) -> None:
    paths = sorted(_step(run, "web").data.glob("*.removed.arrow"))
    found = [inspect(path) for path in paths]
    held = {(r.stage, r.kind, r.reason): r for one in found for r in one.reasons}
    assert held["enough_words", "removed", "too_few_words"].documents == 2
    assert held["enough_words", "quarantined", "ValueError"].bytes == len(made.BOOM)
    shown = "\n".join(_shown(one) for one in found)
    assert "\\u202e" in shown


def test_pairs_and_other_tables(run: RunFolder) -> None:
    found = inspect(_step(run, "dedup.exact.gather").data / "00000.found.arrow")
    assert (found.KIND, found.rows) == ("pairs", _step(run, "dedup.exact").need_manifest().rows)
    assert found.similarity == {"0.9": found.rows}
    assert "exact_duplicate" in _shown(found)
    found = inspect(_step(run, "tokenizer.partials").data / "00000.partial.arrow")
    assert found.KIND == "table"
    _shown(found)


def test_a_shard_is_decoded_with_the_tokenizer_of_its_run(run: RunFolder, tmp_path: Path) -> None:
    path = _step(run, "pack").data / "shard-00000.arrow"
    found = inspect(path, limit=2)
    assert found.KIND == "token shard"
    assert found.metadata["sequence_length"] == 128
    assert len(found.first_rows) == 2
    pieces = [piece for row in found.first_rows for piece in row.pieces]
    assert all(piece.text for piece in pieces)
    text = next(piece.text for piece in pieces if not piece.fim and piece.offset == 0)
    texts = (run.path.parent / f"{pieces[0].source}.jsonl").read_text(encoding="utf-8")
    assert any(
        text[:40] in (run.path.parent / f"{s}.jsonl").read_text(encoding="utf-8") for s in ("web", "code")
    ), texts[:0]
    assert "documents" in _shown(found)
    assert found.windows.order == "that of the rows as they are stored"
    assert found.windows.within
    alone = tmp_path / path.name
    alone.write_bytes(path.read_bytes())
    assert "outside a run folder" in inspect(alone).decoded


def test_what_cannot_be_inspected_names_what_can(run: RunFolder, tmp_path: Path) -> None:
    broken = tmp_path / "broken.arrow"
    broken.write_bytes(b"ARROW1\0\0")
    parquet = tmp_path / "broken.parquet"
    parquet.write_bytes(b"PAR1")
    for path, message in [
        (tmp_path / "nothing", "does not exist"),
        (run.path / "recipe.json", "not a file of a run"),
        (tmp_path, "neither a run folder nor a step's"),
        (broken, "damaged or something else"),
        (parquet, "damaged or something else"),
    ]:
        with pytest.raises(UserError, match=message):
            inspect(path)
    with pytest.raises(UserError, match="limit is -1"):
        inspect(run.path, limit=-1)
