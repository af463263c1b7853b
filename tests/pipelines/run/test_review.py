"""Regressions: output that hung on attempts, documents lost or read twice, blame on the innocent."""

from __future__ import annotations

import json
import os
import selectors
import signal
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.documents import SCHEMA, Columns, Documents, document_id, reason_where
from corpusmill.pipelines.contract.errors import DataError, IntegrityError, LedgerError, UnitFailed, UserError
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.receipt import DatasetPart, UnitResult
from corpusmill.pipelines.run import runner
from corpusmill.pipelines.run.balance import check_rows
from corpusmill.pipelines.run.blame import Patience
from corpusmill.pipelines.run.engines.engine import Beat, Died, Done, Event, Failed, Order
from corpusmill.pipelines.run.engines.inline import InlineEngine
from corpusmill.pipelines.run.engines.process import ProcessEngine
from corpusmill.pipelines.run.engines.worker import attempt
from corpusmill.pipelines.run.estimate import NoEstimateError, estimate_run
from corpusmill.pipelines.run.operators.fused import FusedMaps
from corpusmill.pipelines.run.operators.marker import Marker
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.plan import make_plan, render_plan
from corpusmill.pipelines.run.runner import Runner, run_recipe
from corpusmill.pipelines.run.scheduler import Policy, Scheduler, Unit
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.run.task import Executed, Task
from corpusmill.pipelines.storage import datasets
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import DONE, made_manifest, made_task

Make = Callable[..., Path]


class Odd(Filter):
    """Removes texts of odd length; dies of nothing."""

    def score(self, docs: Documents) -> Columns:
        return {"length": np.array([len(t) for t in docs.text.to_pylist()], np.int64)}

    def judge(self, scores: Columns) -> pa.Array:
        return reason_where((np.asarray(scores["length"]) % 2 == 1, "odd"))


class Long(Odd):
    """Removes texts of over four characters."""

    def judge(self, scores: Columns) -> pa.Array:
        return reason_where((np.asarray(scores["length"]) > 4, "long"))


def documents(texts: list[str]) -> Documents:
    rows = [
        {"id": document_id(str(i), t.encode()), "text": t, "source": "s", "domain": "d", "meta": "{}"}
        for i, t in enumerate(texts)
    ]
    return Documents(pa.Table.from_pylist(rows, schema=SCHEMA))


def test_careful_mode_leaves_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    docs = documents(["ab", "sixsix", "odd", "cd", "sevenxy", "eighteig"])
    plain = FusedMaps([Odd(), Long()], Ledger())
    careful = FusedMaps([Odd(), Long()], Ledger(), marker=Marker(tmp_path / "m"))
    assert careful.push(docs).table.equals(plain.push(docs).table)
    assert careful.removed().equals(plain.removed())
    assert plain.removed().column("reason").to_pylist() == ["long", "odd", "odd", "long"]
    nothing = docs.slice(0, 0)
    assert careful.push(nothing).table.schema.equals(plain.push(nothing).table.schema)


class _Careful(InlineEngine):
    """Runs every unit as if it had crashed before."""

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        super().submit([(ticket, replace(task, careful=True)) for ticket, task in batch], memory)


def test_a_whole_run_in_careful_mode_gives_the_same_files(
    recipe: Make, hashes_of: Callable[[Path], dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(datasets, "ROW_GROUP_BYTES", 20_000)
    path = recipe({5: "RAISE"}, documents=700, kind="inline")
    run_recipe(load_recipe(path, []))
    plain = hashes_of(tmp_path / "runs" / "small")
    (tmp_path / "runs").rename(tmp_path / "plain")
    monkeypatch.setattr(runner, "make_engine", lambda *_: _Careful())
    run_recipe(load_recipe(path, []))
    assert hashes_of(tmp_path / "runs" / "small") == plain


def test_a_crash_between_documents_blames_none_of_them(tmp_path: Path, clock: list[float]) -> None:
    marker = Marker(tmp_path / "m")
    FusedMaps([Odd()], Ledger(), marker=marker).push(documents(["ab", "cd"]))
    assert Marker.read(tmp_path / "m") == (2, -1)
    folder = StepFolder(tmp_path)

    def reader_dies(ticket: int, task: Task) -> Event:
        folder.marker_path(0).parent.mkdir(exist_ok=True)
        folder.marker_path(0).write_bytes(struct.pack("<qq", 2, -1))
        assert task.poison == {}
        return Died(ticket, "killed by signal 9")

    with pytest.raises(UnitFailed, match="worker was lost 3 times, last"):
        schedule([unit(folder, 0)], reader_dies, Policy(patience=Patience(losses=2)))


def unit(folder: StepFolder, number: int) -> Unit:
    stages = tuple(StageSpec("", "", name, {}) for name in ("jsonl", "odd"))
    return Unit("web", number, made_task(number, stages=stages), folder)


class _Scripted:
    """An engine whose tasks end as `script(ticket, task)` says; None means: still running."""

    beats = True
    slots = room = 2
    batch_seconds = 0.0

    def __init__(self, script: Callable[[int, Task], Event | None]) -> None:
        self.script = script
        self.running: dict[int, Task] = {}
        self.cancelled: list[int] = []

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        self.running.update(batch)

    def poll(self, timeout: float) -> list[Event]:
        events = [e for t, task in list(self.running.items()) if (e := self.script(t, task)) is not None]
        for event in events:
            if not isinstance(event, Beat):
                del self.running[event.ticket]
        return events

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)
        del self.running[ticket]

    def close(self) -> None: ...


def schedule(
    units: list[Unit],
    script: Callable[[int, Task], Event | None],
    policy: Policy,
    complete: Callable[[Unit, Executed], None] = lambda *_: None,
) -> _Scripted:
    engine, waiting = _Scripted(script), [units]
    Scheduler(engine, policy, lambda: waiting.pop() if waiting else [], complete).run()
    return engine


def test_a_slow_runner_is_no_silence_of_its_workers(tmp_path: Path, clock: list[float]) -> None:
    polls = {"left": 3}

    def script(ticket: int, task: Task) -> Event | None:
        if task.number == 0:
            return Done(ticket, DONE)
        polls["left"] -= 1  # at the first poll there is nothing to hear, later a beat, then the end
        return None if polls["left"] == 2 else Beat(ticket, 1) if polls["left"] else Done(ticket, DONE)

    units = [unit(StepFolder(tmp_path), n) for n in range(2)]

    def slow(done: Unit, executed: Executed) -> None:
        clock[0] += 40 if done.number == 0 else 0

    engine = schedule(units, script, Policy(heartbeat=20, unit_timeout=60), slow)
    assert engine.cancelled == []


def test_progress_of_a_careful_unit_is_not_measured_by_its_whole_time(
    tmp_path: Path, clock: list[float]
) -> None:
    folder = StepFolder(tmp_path)
    folder.marker_path(0).parent.mkdir()
    steps = iter(range(1, 60))

    def creeps(ticket: int, task: Task) -> Event | None:
        clock[0] += 10
        done = next(steps)
        folder.marker_path(0).write_bytes(struct.pack("<qq", done, -1))
        return Done(ticket, DONE) if done == 50 else None

    careful = unit(folder, 0)
    careful.careful = True
    assert (
        schedule([careful], creeps, Policy(unit_timeout=20, document_timeout=20, heartbeat=1000)).cancelled
        == []
    )


def test_two_attempts_never_share_a_folder(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    late, fresh = folder.attempt(0, 1), folder.attempt(0, 1)
    late.file("x").write_text("late")
    fresh.file("x").write_text("half")
    late.commit(UnitResult(0))
    fresh.file("x").write_text("whole")
    receipt = fresh.commit(UnitResult(0))
    assert [file.name for file in receipt.files] == ["00000.x"]
    assert folder.receipt(0) == receipt


def test_a_plugin_edited_during_a_run_stops_it(recipe: Make, tmp_path: Path) -> None:
    loaded = load_recipe(recipe(documents=400, kind="inline"), [])

    class Edits(runner.RunListener):
        def unit_done(self, unit: Unit, done: Executed) -> None:
            plugin = tmp_path / "faulty.py"
            plugin.write_text(plugin.read_text().replace("< 4", "< 40"))

    with pytest.raises(UserError, match=r"faulty\.py changed while the run was on; run the same command"):
        Runner(loaded, Edits()).run()


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes().replace(b"stone", b"STONE")), "changed while"),
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "changed while"),
        (lambda path: path.unlink(), "was removed while"),
    ],
)
def test_input_that_changes_during_a_run_stops_it(
    recipe: Make, edit: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    loaded = load_recipe(recipe(documents=400, kind="inline"), [])

    class Edits(runner.RunListener):
        def step_done(self, state: runner.StepState) -> None:
            if state.step.name == "b.index":
                edit(tmp_path / "b.jsonl")

    with pytest.raises(UserError, match=rf"b\.jsonl {told} the run was on; run the same command"):
        Runner(loaded, Edits()).run()


def test_row_groups_do_not_hang_on_null_bitmaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "ROW_GROUP_BYTES", 10_000)
    docs = documents(["ab" * (n % 7) for n in range(500)])
    filtered = Documents(docs.table.filter(pa.array([True] * len(docs))))  # equal rows in other buffers
    assert filtered.table.nbytes != docs.table.nbytes
    files = []
    for name, rows in (("sliced", docs), ("filtered", filtered)):
        writer = datasets.DatasetWriter(tmp_path / name)
        for start in range(0, 500, 10):
            writer.append(rows.slice(start, 10))
        writer.close()
        files.append(writer.path.read_bytes())
        assert pq.ParquetFile(writer.path).num_row_groups > 5
    assert files[0] == files[1]


def test_a_text_that_no_file_can_have_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MOST_TEXT", 5)
    docs = documents(["abcd", "abcde"])
    writer = datasets.DatasetWriter(tmp_path / "x")
    writer.append(docs.slice(0, 1))
    with pytest.raises(DataError, match=f"document {docs.column('id')[1]} .* 5 bytes.*max_record_bytes: 4"):
        writer.append(docs)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_empty_unit_keeps_its_columns(tmp_path: Path, encoded: bool) -> None:
    folder = StepFolder(tmp_path)
    attempt = folder.attempt(0, 1)
    writer = datasets.DatasetWriter(attempt.file("x"), encoded=encoded)
    writer.append(documents(["a"]).slice(0, 0).with_columns({"words.count": pa.array([], pa.int64())}))
    writer.close()
    folder.write_manifest(made_manifest([attempt.commit(UnitResult(0))]))
    (table,) = datasets.read_unit(folder, 0, ["id", "words.count"])
    assert (table.column_names, table.num_rows) == (["id", "words.count"], 0)


def test_a_partition_that_was_not_read_fails_the_ledger(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    folder.write_manifest(made_manifest(rows=3))
    step = Step("pack", operator_named("write"), inputs=("pack.scatter",))
    check_rows(step, 3, {"pack.scatter": folder})
    with pytest.raises(LedgerError, match="3 rows were sent to its partitions, 2 arrived"):
        check_rows(step, 2, {"pack.scatter": folder})


def test_a_cut_too_small_to_run_leaves_the_plan_without_an_estimate(
    recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(documents=50)
    path.write_text(path.read_text() + "tokenizer: {train: {vocab_size: 300}}\n")
    plugin = path.with_name("faulty.py")
    plugin.write_text(plugin.read_text().replace("< 4", "< 400"))  # nothing survives
    loaded = load_recipe(path, [])
    told = "a cut of a few documents cannot be run to its end: no doc"
    with pytest.raises(NoEstimateError, match=told) as error:
        estimate_run(loaded)
    plan = replace(make_plan(loaded), no_estimate=str(error.value))
    assert "no estimate: a cut of a few documents cannot be run to its end: no doc" in render_plan(plan)


def test_a_flipped_bit_among_tokens_is_never_read(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    step = folder.attempt(0, 1)
    writer = datasets.DatasetWriter(step.file("arrow"), encoded=True)
    writer.append(documents(["some text", "more text"]))
    receipt = step.commit(UnitResult(writer.close(), part=DatasetPart({"s": (2, 18)})))
    folder.write_manifest(made_manifest([receipt]))
    view = datasets.DatasetView([folder], [])
    assert [len(docs) for docs, _ in view.batches(0)] == [2]
    path = folder.data / "00000.arrow"
    content = bytearray(path.read_bytes())
    content[content.index(b"more")] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"00000\.arrow: its bytes differ.*--repair"):
        list(view.batches(0))


def pointed(run: Path) -> set[str]:
    return set(json.loads((run / "current.json").read_text())["steps"])


def test_until_keeps_what_is_beyond_and_names_what_is_stale(recipe: Make, tmp_path: Path) -> None:
    path, run = recipe(documents=200, kind="inline"), tmp_path / "runs" / "small"
    run_recipe(load_recipe(path, []))
    everything = pointed(run)
    run_recipe(load_recipe(path, []), until=["a"])
    assert pointed(run) == everything
    path.write_text(path.read_text().replace("files: a.jsonl", "files: b.jsonl"))
    run_recipe(load_recipe(path, []), until=["a"])
    assert pointed(run) == everything
    current = json.loads((run / "current.json").read_text())
    assert (current["until"], current["asked"]) == (["a"], ["a.index", "a"])
    assert set(current["stale"]) == everything - {"a.index", "a", "b.index", "b"}
    run_recipe(load_recipe(path, []))
    assert set(json.loads((run / "current.json").read_text())) == {
        "record",
        "recipe",
        "steps",
        "seal",
        "version",
    }


def test_a_full_disk_is_the_users_to_mend_and_tried_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import errno

    from corpusmill.pipelines.run import work

    tried: list[Task] = []

    def full(task: Task) -> Executed:
        tried.append(task)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(work, "execute", full)
    event = attempt(1, replace(made_task(), folder="/run/steps/a"))
    assert isinstance(event, Failed)
    assert event.kind == "halt"  # no other unit could write, either
    cure = "make room there, then run the same command to go on"
    assert cure in event.message
    tried.clear()
    units = [unit(StepFolder(tmp_path), n) for n in range(5)]
    with pytest.raises(UserError, match=cure):
        schedule(units, lambda ticket, task: attempt(ticket, replace(task, folder="/run/steps/a")), Policy())
    assert len(tried) <= 2  # one in each slot


def test_a_worker_that_closes_its_pipe_and_lives_on_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    from corpusmill.pipelines.run.engines import process

    monkeypatch.setattr(process, "LAST_SECONDS", 0.2)
    engine = ProcessEngine(1)
    try:
        worker: Any = engine._start()
        worker.ticket = 7
        while not engine._selector.select(10):
            pass
        engine.poll(1)  # its greeting
        os.kill(worker.process.pid, signal.SIGSTOP)  # as good as hung
        engine._selector.unregister(worker.answers)
        os.close(worker.answers)
        worker.answers, writer = os.pipe()
        os.close(writer)  # what a closed pipe looks like from here
        engine._selector.register(worker.answers, selectors.EVENT_READ, worker)
        assert engine.poll(1) == [Died(7, "killed by signal 9")]
    finally:
        engine.close()
