"""Workers that somebody else starts: before the run, in the midst of it, killed, stopped, and fenced off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.run.code_version import package_digest
from corpusmill.pipelines.run.engines.engine import Beat, Done, Event, Order, Returned
from corpusmill.pipelines.run.engines.process import ProcessEngine
from corpusmill.pipelines.run.engines.queue_folder import Letter, Queue, Session
from corpusmill.pipelines.run.engines.serving import Server
from corpusmill.pipelines.run.engines.workers import WorkersEngine
from corpusmill.pipelines.system.shared_files import claim, names
from tests.made_records import DONE, made_task
from tests.waiting import PATIENCE, wait_until
from tests.warm import Warm

Hashes = Callable[[Path], dict[str, str]]


@contextmanager
def started(log: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A corpusmill command in a process of its own, which is killed at the end if need be."""
    command = [sys.executable, "-m", "corpusmill", *map(str, arguments)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=PATIENCE)


def test_a_worker_killed_in_mid_unit_changes_no_byte(
    recipe: Callable[..., Path], warm: Warm, hashes_of: Hashes, tmp_path: Path
) -> None:
    """Both workers are there before the run. One is killed while its process has a unit in hand, and a third
    comes later."""
    path = recipe({30: "WAIT"}, documents=1500, kind="workers", heartbeat_s=10)
    plugin = path.with_name("faulty.py")
    wait = """
            if text.startswith("WAIT"):
                Path(__file__).with_name(f"in_hand.{os.getppid()}").touch(exist_ok=True)
                if not Path(__file__).with_name("killed").exists():
                    signal.pause()
"""
    plugin.write_text(
        plugin.read_text().replace(
            '            if text.startswith("RAISE"):',
            f'{wait.lstrip(chr(10))}            if text.startswith("RAISE"):',
        )
    )
    out = tmp_path / "two"
    logs = [tmp_path / f"{name}.log" for name in ("one", "two", "three", "run")]
    with started(logs[0], "worker", out) as one, started(logs[1], "worker", out) as two:
        wait_until(lambda: "serves" in logs[0].read_text() + logs[1].read_text(), "workers wait", one)
        with started(logs[3], "run", path, "--out", out) as run:
            in_hand = lambda: list(path.parent.glob("in_hand.*"))  # noqa: E731
            wait_until(lambda: bool(in_hand()), "the unit is in hand", run)
            (file,) = in_hand()
            guilty = next(worker for worker in (one, two) if str(worker.pid) in file.name)
            other = one if guilty is two else two
            path.with_name("killed").touch()
            guilty.kill()
            with started(logs[2], "worker", out) as three:
                assert run.wait(timeout=PATIENCE) == 0, logs[3].read_text()
                assert [worker.wait(timeout=PATIENCE) for worker in (other, three)] == [0, 0]
    assert "timeout: no sign of life" in logs[3].read_text()
    calm = warm.call("run", path, "--set", "engine.kind=inline")
    assert calm.returncode == 0, calm.stderr
    assert hashes_of(tmp_path / "runs" / "small") == hashes_of(out)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[WorkersEngine]:
    made = WorkersEngine(tmp_path, {}, None)
    yield made
    made.close()


def session(engine: WorkersEngine) -> Session:
    found = Queue(engine._queue.run).session()
    assert found is not None
    return found


def heard(engine: WorkersEngine) -> list[Event]:
    return engine.poll(0)


def test_a_batch_is_taken_once_and_told_unit_by_unit(engine: WorkersEngine) -> None:
    queue, name = engine._queue, session(engine).name
    engine.submit([(7, made_task(1)), (8, made_task(2))], 0)
    assert heard(engine) == []
    taken = queue.take(name, "first")
    assert taken is not None
    batch, orders = taken
    assert [(ticket, task.number) for ticket, task in orders] == [(7, 1), (8, 2)]
    assert queue.take(name, "second") is None
    assert heard(engine) == [Beat(7, 0)]  # claimed: from now on it may be late
    queue.tell(name, "first-1", Letter("first", batch, 8, 5, alive=True, done=(Done(7, DONE),)))
    assert heard(engine) == [Done(7, DONE), Beat(8, 5)]
    queue.tell(name, "first-2", Letter("first", batch, 8, 5, through=True, done=(Done(8, DONE),)))
    assert heard(engine) == [Done(8, DONE)]
    assert not queue.holds(name, batch)
    assert queue.claimed(name) == []


def test_what_is_told_of_a_batch_that_was_withdrawn_is_ignored(engine: WorkersEngine) -> None:
    """Its worker, thought dead, wakes up: the batch is another's."""
    queue, name = engine._queue, session(engine).name
    engine.submit([(1, made_task(1)), (2, made_task(2)), (3, made_task(3))], 0)
    taken = queue.take(name, "late")
    assert taken is not None
    heard(engine)
    engine.cancel(1)
    assert heard(engine) == [Returned(2), Returned(3)]
    assert not queue.holds(name, taken[0])
    queue.tell(name, "late-1", Letter("late", taken[0], 2, 5, alive=True, done=(Done(1, DONE),)))
    queue.tell(name, "late-2", Letter("late", taken[0], 2, 5, through=True))
    assert heard(engine) == []
    engine.submit([(4, made_task(1))], 0)
    again = queue.take(name, "other")
    assert again is not None
    assert again[0] != taken[0]


def test_a_careful_task_is_cancelled_once_its_worker_has_let_go(
    engine: WorkersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, name = engine._queue, session(engine).name
    engine.submit([(1, replace(made_task(1), careful=True))], 0)
    taken = queue.take(name, "worker")
    assert taken is not None
    batch = taken[0]
    looked: list[bool] = []

    def lets_go(_: float) -> None:
        looked.append(queue.holds(name, batch))
        queue.leave(name, batch)

    monkeypatch.setattr("corpusmill.pipelines.run.engines.workers.time.sleep", lets_go)
    engine.cancel(1)
    assert looked == [False]


def test_slots_follow_the_workers_that_are_there(engine: WorkersEngine, tmp_path: Path) -> None:
    name = session(engine).name
    assert engine.slots == 1
    for worker in range(3):
        engine._queue.tell(name, f"{worker}-1", Letter(f"w{worker}"))
    heard(engine)
    assert (engine.slots, engine.room) == (3, 19)
    capped = WorkersEngine(tmp_path / "capped", {}, 2)
    assert (capped.slots, capped.room) == (1, 2)
    capped.close()


def test_a_queue_that_others_can_write_is_not_served(engine: WorkersEngine, tmp_path: Path) -> None:
    (tmp_path / "queue").chmod(0o770)
    with pytest.raises(UserError, match="others than this account may write tasks"):
        Server(tmp_path, 0, lambda _: None).serve()


@pytest.mark.parametrize("what", ["code", "plugin", "no plugin"])
def test_a_run_of_other_code_is_not_served(what: str, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    if what != "no plugin":
        plugin.write_text("raise SystemExit\n")
    plugins = {} if what == "code" else {str(plugin): "0" * 64}
    code = "0" * 64 if what == "code" else package_digest()
    Queue(tmp_path).open(Session("one", code, plugins))
    told = {"code": "other code", "plugin": "not the one", "no plugin": "is not there"}[what]
    with pytest.raises(UserError, match=told):
        Server(tmp_path, 0, lambda _: None).serve()


def test_a_task_with_a_plugin_of_its_own_is_not_executed(engine: WorkersEngine, tmp_path: Path) -> None:
    engine.submit([(1, replace(made_task(), plugins={str(tmp_path / "evil.py"): "0" * 64}))], 0)
    with pytest.raises(UserError, match="plugins that its run does not have"):
        Server(tmp_path, 0, lambda _: None).serve()


def test_a_worker_ends_when_the_run_does_or_nothing_comes(tmp_path: Path) -> None:
    said: list[str] = []
    engine = WorkersEngine(tmp_path, {}, None)
    server = Server(tmp_path, 0, said.append)
    assert server.serve() == 0
    assert said[-1].endswith("no work for 0 s")
    engine.close()
    assert names(tmp_path / "queue") == ["session.json"]
    later = Server(tmp_path, PATIENCE, said.append)
    later._known = server._known  # it has served this run
    assert later.serve() == 0
    assert said[-1].endswith("the run is over")


def test_a_name_is_claimed_once(tmp_path: Path) -> None:
    assert claim(tmp_path / "x", "first")
    assert not claim(tmp_path / "x", "second")
    assert (tmp_path / "x").read_text() == "first"


class Lively:
    """A process engine of one task that never ends and shows life at each poll."""

    def __init__(self) -> None:
        self.polls = 0
        self.closed = False

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        ((self.ticket, _),) = batch

    def poll(self, timeout: float) -> list[Event]:
        self.polls += 1
        assert self.polls < 10_000, "the worker never looked"
        time.sleep(0.001)
        return [Beat(self.ticket, 0)]

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("why", ["asked to end", "withdrawn"])
def test_a_worker_looks_up_however_often_its_process_beats(
    why: str, engine: WorkersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpusmill.pipelines.run.engines.serving.BEAT_SECONDS", 0.01)
    queue, name = engine._queue, session(engine).name
    engine.submit([(1, made_task(1))], 0)
    taken = queue.take(name, "worker")
    assert taken is not None
    server, lively = Server(tmp_path, 0, lambda _: None), Lively()
    server._engine = cast(ProcessEngine, lively)
    if why == "withdrawn":
        queue.withdraw(name, taken[0], claim_stays=True)
    else:
        beat = lively.poll
        monkeypatch.setattr(
            lively, "poll", lambda timeout: (setattr(server._stop, "_asked", True), beat(timeout))[1]
        )
    assert server._work(session(engine), *taken) == 0
    assert lively.closed


def test_a_worker_asked_to_end_gives_back_what_it_has(recipe: Callable[..., Path], tmp_path: Path) -> None:
    path = recipe({30: "HANG"}, documents=300, kind="workers")
    out = tmp_path / "out"
    with (
        started(tmp_path / "run.log", "run", path, "--out", out) as run,
        started(tmp_path / "w.log", "worker", out) as one,
    ):
        wait_until(lambda: bool(list(path.parent.glob("hangs.*"))), "a document hangs", run)
        one.send_signal(signal.SIGTERM)
        assert one.wait(timeout=PATIENCE) == 0
        log = out / "log" / "run.jsonl"

        def failures() -> list[dict[str, str]]:
            events = [json.loads(line) for line in log.read_text().splitlines()]
            return [event for event in events if event["event"] == "failure"]

        wait_until(lambda: bool(failures()), "the unit comes back", run)
        assert "was asked to end" in failures()[0]["detail"]
        assert failures()[0]["failure"] == "worker taken away"
        os.kill(run.pid, signal.SIGTERM)
        assert run.wait(timeout=PATIENCE) == 2
