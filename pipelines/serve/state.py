"""What the live page shows, as one record: steps, the ledger so far, samples of what falls, failures."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.unit_progress import read_progress
from corpusmill.pipelines.inspection.identities import arrow_batches
from corpusmill.pipelines.records.ledger import Entry, Ledger, LedgerEntry
from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.serve.progress import LogReader, StepProgress, in_use, moment
from corpusmill.pipelines.storage.graph_file import read_graph
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder

_SAMPLES = 12
_EXCERPT = 300
_REASONS = 3
_ROWS = 200  # of the ledger
_OF_UNIT = 3
_NOTES = 4  # of units at work
_COLUMNS = ["id", "source", "stage", "kind", "reason", "excerpt"]


@dataclass(frozen=True)
class LiveStep:
    """A step: `state` is waiting, running, done or reused; rates are units a second, times seconds.
    `inside`: how far long units have got."""

    name: str
    state: str
    units: int | None
    done: int
    rows: int
    rate: float | None
    left: float | None
    inside: tuple[str, ...]


@dataclass(frozen=True)
class LiveRow:
    """Documents of a stage over all sources, as far as its units are done, and the commonest reasons."""

    step: str
    stage: str
    came: int
    kept: int
    removed: int
    quarantined: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class LiveSample:
    """A document that was removed or quarantined lately."""

    step: str
    stage: str
    kind: str
    reason: str
    source: str
    id: str | None
    excerpt: str


@dataclass(frozen=True)
class LiveState:
    """How the run stands. `running`: whether a run has its lock; `ended`: the last execution came to its end;
    `seconds`: since it began, or what it took; `fault`: what could not be read just now."""

    name: str
    running: bool
    ended: bool
    engine: str | None
    seconds: float | None
    steps: tuple[LiveStep, ...]
    ledger: tuple[LiveRow, ...]
    samples: tuple[LiveSample, ...]
    failures: tuple[str, ...]
    fault: str | None


class Watch:
    """Follows a run. One thread at a time looks; others wait for it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._log = LogReader(folder.path / "log" / "run.jsonl")
        self._lock = threading.Lock()
        self._receipts: dict[tuple[Path, int], tuple[LedgerEntry, ...]] = {}
        self._samples: dict[tuple[Path, int], list[LiveSample]] = {}
        self._shown: list[LiveSample] = []

    def look(self) -> LiveState:
        """The state now. Faults of files that are being written or replaced are told in it, not raised."""
        with self._lock:
            fault = None
            self._log.read()
            rows: list[LiveRow] = []
            running = self._running()
            try:
                folders = dict(self._folders(running))
                rows = self._ledger(folders)
                self._fall(folders)
            except (CorpusmillError, OSError) as error:
                fault = visible(str(error))
            return self._state(rows, running, fault)

    def _running(self) -> bool:
        running = in_use(self._folder.path)
        return running if running is not None else self._log.started is not None and self._log.ended is None

    def _state(self, rows: Iterable[LiveRow], running: bool, fault: str | None) -> LiveState:
        log, now = self._log, moment()
        end = log.ended if log.ended is not None else now if running else None
        seconds = end - log.started if end is not None and log.started is not None else None
        return LiveState(
            name=visible(self._name()),
            running=running,
            ended=log.ended is not None,
            engine=log.engine,
            seconds=seconds,
            steps=tuple(self._steps(running, now)),
            ledger=tuple(rows),
            samples=tuple(self._shown[:_SAMPLES]),
            failures=tuple(
                visible(f"{one.step}: unit {one.unit}: {one.words}") for one in reversed(log.failures)
            ),
            fault=fault,
        )

    def _name(self) -> str:
        return str(self._folder.recipe().get("name", self._folder.path.name))

    def _steps(self, running: bool, now: float) -> Iterable[LiveStep]:
        current = self._folder.current().steps
        for step in read_graph(self._folder).steps:
            found = self._log.steps.get(step.name)
            if found is None:  # while it runs, what an earlier run made may yet be made again
                state = "reused" if step.name in current and not running else "waiting"
                yield LiveStep(visible(step.name), state, None, 0, 0, None, None, ())
                continue
            here = current.get(step.name)
            complete = found.complete or (not running and here is not None and found.version in ("", here))
            yield self._step(found, complete, running, now)

    def _step(self, found: StepProgress, complete: bool, running: bool, now: float) -> LiveStep:
        state = "reused" if found.reused else "done" if complete else "running" if running else "stopped"
        going = state == "running"
        return LiveStep(
            name=visible(found.name),
            state=state,
            units=found.units,
            done=found.before + found.done,
            rows=found.rows,
            rate=self._log.rate(found, now) if going else None,
            left=self._log.left(found, now) if going else None,
            inside=self._inside(found) if going else (),
        )

    def _inside(self, found: StepProgress) -> tuple[str, ...]:
        """The notes of units at work (see `unit_progress`)."""
        if not found.version:
            return ()
        places = sorted((self._folder.step(found.name, found.version).path / "scratch").glob("*"))
        notes = [note for place in places[:_NOTES] if (note := read_progress(place)) is not None]
        return tuple(visible(f"{note.done:,}/{note.total:,}: {note.text}")[:200] for note in notes)

    def _folders(self, running: bool) -> Iterable[tuple[str, StepFolder]]:
        """The version of each step that the run has; while it runs, of those that it has come to."""
        current = self._folder.current().steps
        for step in read_graph(self._folder).steps:
            found = self._log.steps.get(step.name)
            version = found.version if found is not None and found.version else current.get(step.name)
            if version and (found is not None or not running):
                yield step.name, self._folder.step(step.name, version)

    def _ledger(self, folders: Mapping[str, StepFolder]) -> list[LiveRow]:
        rows: list[LiveRow] = []
        for name, folder in folders.items():
            ledger = Ledger.total(self._entries(folder))
            stages: dict[str, Ledger] = {}
            for entry in ledger:
                whole = stages.setdefault(entry.stage, Ledger())
                whole.add([_of_all(entry.record())])
            rows += [_row(name, entry) for part in stages.values() for entry in part]
        return rows[:_ROWS]

    def _entries(self, folder: StepFolder) -> Iterable[tuple[LedgerEntry, ...]]:
        """Ledgers of the units that are committed; those of single receipts are read once."""
        if (manifest := folder.manifest()) is not None:
            self._receipts = {key: value for key, value in self._receipts.items() if key[0] != folder.path}
            yield manifest.ledger
            return
        for segment in folder.found_segments():
            yield from (unit.ledger for unit in segment.receipts())
        for number in folder.single_receipts():
            key = folder.path, number
            if key not in self._receipts and (receipt := folder.receipt(number)) is not None:
                self._receipts[key] = receipt.ledger
            yield self._receipts.get(key, ())

    def _fall(self, folders: Mapping[str, StepFolder]) -> None:
        """Look at what the latest units removed; a file is read once."""
        known, self._samples, self._shown = self._samples, {}, []
        for name, unit in reversed(self._log.latest):
            folder = folders.get(name)
            if folder is None or len(self._shown) >= _SAMPLES:
                continue
            key = folder.path, unit
            path = folder.data / f"{unit:05d}.removed.arrow"
            if key in known:
                self._samples[key] = known[key]
            elif path.is_file():
                self._samples[key] = _samples(name, path)
            self._shown += self._samples.get(key, [])


def _of_all(entry: LedgerEntry) -> LedgerEntry:
    return replace(entry, source="", languages={})


def _row(step: str, entry: Entry) -> LiveRow:
    lost = [(reason, count) for reason, (count, _) in (*entry.removed.items(), *entry.quarantined.items())]
    lost.sort(key=lambda one: (-one[1], one[0]))
    return LiveRow(
        step=visible(step),
        stage=visible(entry.stage),
        came=entry.documents_in,
        kept=entry.documents_kept,
        removed=sum(count for count, _ in entry.removed.values()),
        quarantined=sum(count for count, _ in entry.quarantined.values()),
        reasons=tuple((visible(reason)[:120], count) for reason, count in lost[:_REASONS]),
    )


def _samples(step: str, path: Path) -> list[LiveSample]:
    """The first few rows of a file of removed documents that have an excerpt."""
    found: list[LiveSample] = []
    for batch in arrow_batches(path, _COLUMNS):
        shown = batch.filter(batch.column("excerpt").is_valid()).slice(0, _OF_UNIT)
        found += [
            LiveSample(
                step=visible(step),
                stage=visible(row["stage"]),
                kind=row["kind"],
                reason=visible(row["reason"])[:120],
                source=visible(row["source"]),
                id=row["id"],
                excerpt=visible(row["excerpt"][:_EXCERPT]),
            )
            for row in shown.to_pylist()
        ]
        if len(found) >= _OF_UNIT:
            break
    return found[:_OF_UNIT]
