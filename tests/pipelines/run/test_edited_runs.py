"""Runs whose exchanges cut: bytes that follow from the recipe alone, accounts that balance, damage found."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.found import FoundCuts
from corpusmill.pipelines.inspection.inspect import inspect
from corpusmill.pipelines.inspection.kept_documents import kept_documents
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.inspection.run_record import RunRecord, load_record
from corpusmill.pipelines.inspection.story import Story
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.report.build import build_report
from corpusmill.pipelines.run.graph import build_graph, with_needs
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.oracles.dedup_edits import Text
from tests.oracles.dedup_paragraphs import without_repeats
from tests.pipelines.run.edited import Corpus, rows_of, run, write_recipe
from tests.warm import Warm

Hashes = Callable[[Path], dict[str, str]]
DEDUP = "exact, cut_brackets, repeated_paragraphs, connected"
MORE = (
    "tokenizer: {train: {vocab_size: 270}}\n"
    "mixture: {tokens: 4K, weights: {s0: 0.5, s1: 0.5}, max_epochs: 9}\n"
    "pack: {sequence_length: 128, shard_tokens: 32768}\n"
)


def corpus(seed: int = 1, documents: int = 60) -> Corpus:
    """Two sources of texts of several paragraphs, some shared, some in brackets, some of nothing else."""
    draw = random.Random(seed)
    words = ["mill", "stone", "wéir", "水車", "race", "😀", "wheel", "grain"]
    shared = [" ".join(draw.choices(words, k=9)) for _ in range(20)]

    def paragraph() -> str:
        kind = draw.random()
        if kind < 0.4:
            return draw.choice(shared)
        text = " ".join(draw.choices(words, k=draw.randint(4, 20))) + f" {draw.random()}"
        return f"é[{text}] 水" if kind < 0.5 else text

    texts = ["\n\n".join(paragraph() for _ in range(draw.randint(1, 6))) for _ in range(documents)]
    texts += [*texts[:5], "\n \n".join(shared[:3]), "[all of it]", " [ ] \u3000", shared[0], shared[1]]
    return [texts[::2], texts[1::2]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recipe and its run, `run`; not to be changed."""
    folder = tmp_path_factory.mktemp("edited")
    record = run(write_recipe(folder, corpus(), DEDUP, more=MORE))
    build_report(record.folder)
    return folder


@pytest.fixture(scope="module")
def record(finished: Path) -> RunRecord:
    return load_record(RunFolder(finished / "run"))


@pytest.fixture(scope="module")
def figures(finished: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished / "run" / "report" / "report.json").read_text())
    return found


def bracketed(text: str) -> tuple[str, bool]:
    """What `cut_brackets` leaves of a text, and whether it is emptied."""
    data, held = text.encode(), Text(text)
    opened = [place for place, byte in enumerate(data) if byte == ord("[")]
    closed = [place + 1 for place, byte in enumerate(data) if byte == ord("]")]
    spans = [(start, end, "") for start in opened for end in closed if start < end]
    wide = [(max(0, start - 1), min(len(data), end + 1), "") for start, end, _ in spans]
    emptied = held.cut([*spans, *wide])
    return held.shown(), emptied


def test_exchanges_in_a_chain_equal_their_oracles(record: RunRecord) -> None:
    seen: set[str] = set()
    left = []
    best: dict[str, str] = {}
    written = rows_of(record, masked=False)
    for identity, text in written:  # exact: the smallest id of each text stays
        best[text] = min(identity, best.get(text, identity))
    for identity, text in written:
        if best[text] == identity and text not in seen:
            seen.add(text)
            shown, emptied = bracketed(text)
            if not emptied:
                left.append((identity, shown))
    kept = zip(left, without_repeats(left), strict=True)
    view = record.view()
    names = [f"dedup.{name}" for name in DEDUP.split(", ")]
    assert [mask.name for mask in record.masks] == [*names, "held_out"]
    del view.masks[3:]
    shown = [
        row
        for unit in range(len(view))
        for docs, _ in view.batches(unit)
        for row in zip(docs.column("id").to_pylist(), docs.text.to_pylist(), strict=True)
    ]
    assert shown == [(identity, text) for (identity, _), text in kept if text is not None]
    assert 0 < len(shown) < len(left) < len(written)


def test_every_byte_is_kept_cut_or_removed_and_later_steps_see_what_is_left(
    record: RunRecord, figures: dict[str, Any]
) -> None:
    assert figures["ledger"]["balanced"], figures["ledger"]["faults"]
    for source, rows in figures["funnel"].items():
        left = None
        for row in rows:
            lost = [*row["removed"], *row["quarantined"], *row["cut"]]
            assert row["bytes_in"] == row["bytes_kept"] + sum(reason["bytes"] for reason in lost)
            if row["step"] != "pack.scatter":
                assert left in (None, row["bytes_in"]), (source, row["stage"])
                left = row["bytes_out"]
        cuts = {(row["stage"], cut["reason"]): cut["bytes"] for row in rows for cut in row["cut"]}
        assert cuts["repeated_paragraphs", "repeated_paragraph"] > 0
        assert {key for key in cuts if key[0] == "cut_brackets"} <= {
            ("cut_brackets", "even"),
            ("cut_brackets", "odd"),
        }
    exported = [text for _, _, docs in kept_documents(record) for text in docs.text.to_pylist()]
    assert sorted(exported) == sorted(text for _, text in rows_of(record))
    sizes = [len(text.encode()) for text in exported]
    held = figures["ledger"]["sources"]
    assert sum(source["bytes_left"] for source in held.values()) == sum(sizes)
    encoded = record.steps["encode"].units
    assert sum(size for unit in encoded for _, size in unit.sources.values()) == sum(sizes)
    assert all(check.ok for check in doctor(record.folder).checks if check.damage or "ledger" in check.name)


def test_the_report_shows_what_was_cut_and_what_was_emptied(finished: Path, figures: dict[str, Any]) -> None:
    samples = figures["removed_samples"]
    cut = [sample for sample in samples if sample["kind"] == "cut"]
    assert {sample["reason"] for sample in cut} >= {"repeated_paragraph", "even"}
    written = "".join(text for texts in corpus() for text in texts)
    for sample in cut:
        assert sample["bytes"] >= len(sample["excerpt"].encode())
        assert sample["bytes"] == len(sample["excerpt"].encode()) or len(sample["excerpt"]) == 400
        assert sample["excerpt"] in written
        assert (sample["detail"] or "as in").startswith("as in")
    emptied = [sample for sample in samples if sample["reason"] == "emptied"]
    assert {sample["stage"] for sample in emptied} == {"cut_brackets", "repeated_paragraphs"}
    assert all("nothing but white space is left" in sample["detail"] for sample in emptied)
    page = (finished / "run" / "report" / "report.html").read_text("utf-8")
    assert "cut from documents kept: repeated_paragraph" in page
    assert "cut: <strong>repeated_paragraph</strong>" in page


def test_explain_tells_what_was_cut_and_where_the_text_is_kept(record: RunRecord) -> None:
    left = dict(rows_of(record))
    told = 0
    for identity, text in rows_of(record, masked=False):
        story = encode(explain(record.folder, identity))
        for instance in story["instances"]:
            spans = [span for event in instance["events"] for span in event.get("cut", [])]
            for span in spans:
                whole = text.encode()[span["start"] : span["end"]].decode()
                assert whole[:300] == span["excerpt"]
                assert ("survivor_id" in span) == (span["reason"] == "repeated_paragraph")
            if spans and instance["outcome"] not in ("removed", "quarantined"):
                assert instance["bytes_left"] == len(left[identity].encode()) < instance["bytes"]
                assert left[identity].startswith(instance["excerpt"])
                assert f"bytes: {spans[-1]['reason']}" in render_story(decode(Story, story, "a story"))
                told += 1
        if told > 8:
            break
    assert told > 8


def test_engines_and_kills_while_cuts_are_committed_change_no_byte(
    finished: Path, record: RunRecord, warm: Warm, hashes_of: Hashes, tmp_path: Path
) -> None:
    """The first run is killed at the mask's commit, which comes after those of all that it needs."""
    target = "dedup.repeated_paragraphs"
    path = finished / "recipe.yaml"
    needed = with_needs(build_graph(load_recipe(path)), [target])
    plugins.clear_plugins()
    commits = sum(len(record.steps[name].units) for name in needed)
    command = ("run", path, "--out", tmp_path / "out", "--until", target, "--set", "engine.kind=inline")
    for point in (f"commit-before-rename:{commits}", "commit-between-renames:1", "commit-before-receipt:1"):
        killed = warm.call(*command, env={"CORPUSMILL_FAULTPOINT": point})
        assert killed.returncode == -signal.SIGKILL, point
    more = ("--set", "engine.kind=process", "--set", "engine.workers=2")
    assert warm.call("run", path, "--out", tmp_path / "out", "--until", "encode", *more).returncode == 0
    wanted = hashes_of(finished / "run")
    found = hashes_of(tmp_path / "out")
    assert found == {name: wanted[name] for name in wanted if name in found}
    assert sum(target in name and name.endswith("edits.arrow") for name in found) == 2


def test_damage_to_edits_and_rounds_is_found_and_repaired(
    finished: Path, hashes_of: Hashes, tmp_path: Path
) -> None:
    wanted = hashes_of(finished / "run")
    files = [
        name for name in wanted if name.endswith("edits.arrow") or ("round-1" in name and "rows" in name)
    ]
    assert len(files) == 5
    for name in files:
        shutil.copytree(finished / "run", tmp_path / "run")
        content = bytearray((tmp_path / "run" / name).read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / "run" / name).write_bytes(content)
        faults = [check for check in doctor(RunFolder(tmp_path / "run"), deep=True).checks if check.damage]
        assert [Path(name).name in check.detail for check in faults] == [True]
        step = name.split("/")[1]
        if step in ("dedup.cut_brackets", "dedup.repeated_paragraphs"):
            with pytest.raises(IntegrityError, match=r"edits\.arrow"):
                rows_of(load_record(RunFolder(tmp_path / "run")))
        run(finished / "recipe.yaml", f"output={tmp_path / 'run'}", repair=True)
        assert hashes_of(tmp_path / "run") == wanted
        shutil.rmtree(tmp_path / "run")


BOTH = '''
"""Removes every document of an earlier one's first letter, and cuts the first byte of every document."""

import pyarrow as pa

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found


class Both(Exchange):
    def emit(self, docs, unit, rows):
        found = docs.table.select(["id", "source", "text"]).to_pylist()
        for row, document in zip(rows.tolist(), found):
            text = document.pop("text")
            document |= {"key": ord(text[0]) << 50, "unit": unit, "row": row, "bytes": len(text.encode())}
        table = pa.Table.from_pylist(found)
        kinds = {"key": pa.uint64(), "unit": pa.uint32(), "row": pa.uint32()}
        types = [(name, kinds.get(name, table.field(name).type)) for name in table.column_names]
        return Emitted(table.cast(pa.schema(types)))

    def rounds(self):
        return (self.look,)

    def look(self, rows):
        removals, edits, first = [], [], {}
        for row in rows.to_pylist():
            address = {"unit": row["unit"], "row": row["row"]}
            edits.append({**address, "start": 0, "end": 1, "reason": "first_byte"})
            kept = first.setdefault(row.pop("key"), row)
            if kept is not row:
                kept = {f"survivor_{name}": value for name, value in kept.items()}
                removals.append({**row, **kept, "reason": "same_letter", "similarity": 1.0})
        return Found(pa.Table.from_pylist(removals, DUPLICATES), pa.Table.from_pylist(edits, EDITS))
'''


def test_of_a_document_that_the_same_exchange_removes_nothing_is_cut(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, [["apple", "avocado", "b", "cherry"], ["banana", "date"]], "both")
    (tmp_path / "both.py").write_text(BOTH)
    path.write_text(path.read_text().replace("plugins: [", "plugins: [both.py, "))
    found = run(path)
    assert [text for _, text in rows_of(found)] == ["pple", "herry", "ate"]
    entries = {entry.source: entry for entry in found.steps["dedup.both"].ledger}
    assert entries["s0"].removed == {"same_letter": (1, 7), "emptied": (1, 1)}
    assert entries["s1"].removed == {"same_letter": (1, 6)}
    assert [entries[source].cut for source in ("s0", "s1")] == [{"first_byte": 2}, {"first_byte": 1}]
    build_report(found.folder)
    report = json.loads((tmp_path / "run" / "report" / "report.json").read_text())
    assert [held["removed"] for held in report["duplicates"]] == [2]
    assert {sample["reason"] for sample in report["removed_samples"]} == {"emptied", "first_byte"}


def test_inspect_counts_what_a_mask_cuts(record: RunRecord) -> None:
    step = record.steps["dedup.repeated_paragraphs"]
    (path,) = step.data.data.glob("*.edits.arrow")
    found = inspect(path)
    cut = sum(entry.bytes_cut for entry in step.ledger)
    assert isinstance(found, FoundCuts)
    assert found.version == "current"
    assert [(r.stage, r.reason, r.bytes) for r in found.reasons] == [
        ("repeated_paragraphs", "repeated_paragraph", cut)
    ]
    shown = render_inspection(found)
    assert f"{found.rows} parts cut from documents" in shown
    assert f"as in {found.first_rows[0].survivor_id}" in shown
    assert "cut: repeated_paragraph" in render_inspection(inspect(step.data.path))
