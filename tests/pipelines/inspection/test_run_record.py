"""The record of a run: order, states, addresses, log."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.inspect import inspect
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.inspection.run_log import LONGEST_LINE, read_log, repair_command
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.page import render_page
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.inspection import made_run as made

Copies = Callable[[], RunFolder]


def test_steps_come_after_what_they_read(run: RunFolder) -> None:
    names = list(load_record(run).steps)
    for before, after in [
        ("web.index", "web"),
        ("web", "dedup.exact.scatter"),
        ("dedup.exact.scatter", "dedup.exact"),
        ("dedup.exact", "decontaminate"),
        ("benchmark_grams", "decontaminate"),
        ("tokenizer", "encode"),
        ("encode", "mixture"),
        ("mixture", "pack"),
    ]:
        assert names.index(before) < names.index(after)


def test_sources_are_told_from_benchmarks(run: RunFolder) -> None:
    record = load_record(run)
    assert [source.name for source in record.sources] == ["code", "web"]
    assert [source.name for source in record.beside] == ["benchmarks"]
    assert [mask.name for mask in record.masks] == ["dedup.exact", "decontaminate", "held_out"]


def test_first_units_follow_the_recipe_and_not_the_names(run: RunFolder) -> None:
    record = load_record(run)
    web = next(source for source in record.sources if source.name == "web")
    assert record.first_units == {"web": 0, "code": len(web.last.units)}


def test_every_removed_row_is_the_document_it_is_said_to_be(run: RunFolder) -> None:
    record = load_record(run)
    view = record.view()
    for unit in range(len(view)):
        rows: dict[int, str] = {}
        for mask in view.masks:
            for batch in type(view)([], [mask]).mask_batches(unit):
                rows |= dict(
                    zip(batch.column("row").to_pylist(), batch.column("id").to_pylist(), strict=True)
                )
        unmasked = type(view)(view.datasets, [])
        for docs, at in unmasked.batches(unit, ["id"]):
            for row, identity in zip(at.tolist(), docs.column("id").to_pylist(), strict=True):
                assert rows.get(row, identity) == identity


def test_view_holds_exactly_what_was_encoded(run: RunFolder) -> None:
    record = load_record(run)
    view = record.view()
    kept = [
        i
        for unit in range(len(view))
        for docs, _ in view.batches(unit, ["id"])
        for i in docs.column("id").to_pylist()
    ]
    encode = record.complete("encode")
    assert encode is not None
    assert len(kept) == encode.rows


def test_a_run_without_deduplication_and_with_a_source_of_two_steps(tmp_path: Path) -> None:
    plain = made.make_plain_run(tmp_path)
    record = load_record(plain)
    code, web = record.sources
    assert [step.name for step in code.steps] == ["code.0", "code"]
    assert code.whole
    assert record.first_units == {"web": 0, "code": len(web.last.units)}
    (leak,) = [
        row
        for unit in range(len(record.view()))
        for batch in record.view().mask_batches(unit)
        for row in batch.to_pylist()
    ]
    events = encode(explain(plain, leak["id"]))["instances"][0]["events"]
    assert [(event["step"], event["verdict"]) for event in events] == [
        ("code.0", "kept"),
        ("code.0", "kept"),
        ("code", "kept"),
        ("decontaminate", "removed"),
    ]
    origin = encode(explain(plain, leak["id"]))["instances"][0]["origin"]
    assert (origin["step"], origin["inputs"][0]["file"]) == ("code.0", "code.jsonl")
    figures = gather(plain)
    assert figures.ledger.balanced
    assert figures.head.complete
    assert figures.mixture is None
    assert render_page(figures)


def test_states_of_a_run_that_was_stopped(copy_of: Copies) -> None:
    copy = copy_of()
    made.forget(copy, "pack")
    record = load_record(copy)
    assert record.steps["pack"].state == "unfinished"
    assert record.steps["pack"].receipts > 0
    assert record.steps["encode"].state == "complete"
    assert record.complete("pack") is None


def test_a_step_made_from_another_version_is_outdated_with_all_after_it(copy_of: Copies) -> None:
    copy = copy_of()
    step = copy.current_step("web")
    assert step is not None
    step.write_manifest(replace(step.need_manifest(), content="0" * 64))
    states = {name: held.state for name, held in load_record(copy).steps.items()}
    assert states["web"] == "complete"
    assert states["code"] == "complete"
    for name in ("dedup.exact.scatter", "dedup.exact", "decontaminate", "encode", "mixture", "pack"):
        assert states[name] == "outdated", name
    assert states["benchmark_grams"] == "complete"


def test_a_step_that_was_never_begun_is_not_reached(copy_of: Copies) -> None:
    copy = copy_of()
    made.ask_for(copy, "train")
    assert load_record(copy).steps["train"].state == "not_reached"


def test_a_folder_without_a_run_is_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        load_record(RunFolder(tmp_path))


def test_log_counts_the_last_execution_and_torn_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    unit = {"event": "unit", "step": "a", "unit": 0, "attempt": 1, "seconds": 2.0}
    lines = [
        {"event": "start", "time": 1.0, "engine": "inline"},
        unit,
        {"event": "end", "seconds": 9},
        {"event": "start", "time": 5.0, "engine": "process"},
        {**unit, "attempt": 2},
        {**unit, "unit": 1, "rss": 7},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines) + '\n{"event": "un', encoding="utf-8")
    log = read_log(path)
    assert (log.executions, log.engine, log.started, log.seconds) == (2, "process", 5.0, None)
    assert (log.steps["a"].units, log.steps["a"].seconds, log.steps["a"].retries) == (2, 4.0, 1)
    assert log.unreadable_lines == 1
    for long in ("x" * 3 * LONGEST_LINE, "x" * (LONGEST_LINE - 1), "[" * 100_000):
        path.write_text(f"{long}\n{json.dumps(unit)}\n{long}", encoding="utf-8")
        log = read_log(path)
        assert (log.steps["a"].units, log.unreadable_lines) == (1, 2)
    assert read_log(tmp_path / "none.jsonl").executions == 0


def test_a_partial_run_tells_what_holds_from_what_is_stale(copy_of: Copies) -> None:
    """As `--until` leaves it: what is beyond was made from other inputs, and nobody asked for it."""
    copy = copy_of()
    current = copy.current()
    beyond = [name for name in current.steps if name.split(".")[0] in ("encode", "mixture", "pack")]
    asked = [name for name in current.steps if name not in beyond]
    partial = replace(current, stale=tuple(beyond), until=("tokenizer",), asked=tuple(asked))
    copy.write_current(partial)
    made.ask_for(copy, "train")
    record = load_record(copy)
    assert {name for name, step in record.steps.items() if step.state == "stale"} == set(beyond)
    assert set(record.stale) == set(beyond)
    assert "train" not in record.steps
    figures = gather(copy)
    assert figures.mixture is not None
    assert figures.packing is not None
    assert (figures.head.complete, figures.head.until) == (True, ("tokenizer",))
    said = [finding for finding in figures.findings if finding.about == "stale steps"]
    assert [finding.level for finding in said] == ["note"]
    assert "pack" in said[0].text
    assert not any("not begun" in finding.text for finding in figures.findings)
    html = render_page(figures)
    assert html.count('badge bad">stale') == 2
    assert "complete up to tokenizer" in html
    checks = [check for check in doctor(copy).checks if check.name.startswith("step ")]
    assert all(check.ok for check in checks)
    assert any("stale" in check.detail for check in checks)
    shown = inspect(copy.path)
    assert list(shown.stale) == record.stale
    assert "stale (pack was made from other inputs or options)" in render_inspection(shown)


def test_versions_of_a_step_are_told_apart(copy_of: Copies) -> None:
    copy = copy_of()
    step, current = copy.current_step("pack"), copy.current()
    assert step is not None
    shard = step.data / "shard-00000.arrow"
    assert (inspect(step.path).version, inspect(shard).version) == ("current", "current")
    copy.write_current(replace(current, stale=("pack",)))
    assert (inspect(step.path).version, inspect(shard).version) == ("stale", "stale")
    copy.write_current(replace(current, steps={**current.steps, "pack": "0" * 64}))
    assert inspect(step.path).version == "earlier"
    assert render_inspection(inspect(shard)).startswith("an earlier version of its step")


@pytest.mark.parametrize("given", ["", " --out '/else where/out'", " --set 'a=b c' --out /x --set d=1"])
def test_a_copied_run_is_repaired_where_it_lies(tmp_path: Path, given: str) -> None:
    folder = tmp_path / "a copy"
    (folder / "log").mkdir(parents=True)
    start = {"event": "start", "time": 1.0, "engine": "inline", "command": f"corpusmill run r.yaml{given}"}
    (folder / "log" / "run.jsonl").write_text(json.dumps(start) + "\n", encoding="utf-8")
    command = repair_command(folder)
    assert command is not None
    words = shlex.split(command)
    assert words[:3] == ["corpusmill", "run", "r.yaml"]
    assert words[-3:] == ["--out", str(folder), "--repair"]
    assert words.count("--out") == 1
    kept = [word for word in ("a=b c", "d=1") if word.split("=")[0] + "=" in given]
    assert [word for word in words if "=" in word] == kept


@pytest.mark.parametrize("log", [None, '{"event": "start", "command": "corpusmill run \'r.yaml"}\n'])
def test_a_log_without_a_whole_command_names_none(tmp_path: Path, log: str | None) -> None:
    if log is not None:
        (tmp_path / "log").mkdir()
        (tmp_path / "log" / "run.jsonl").write_text(log, encoding="utf-8")
    assert repair_command(tmp_path) is None
