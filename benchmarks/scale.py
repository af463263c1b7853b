"""What a run costs beside its data, where units are many: metadata and opens. Growth: see `growth.py`.

Jobs, at a million units (quick: 10,000) unless said otherwise:
- `receipts: bytes a unit` on disk, of a step whose units have two files and one entry in the ledger;
  `written`: microseconds of the runner's CPU time a unit;
- `view: opens` in milliseconds of CPU time, `view: lookups`: the same for a thousand units all over the step,
  and `worker: memory` in MB that these add; the medians of five processes;
- `runner: receipts`: MB that receipts of units at work take in the runner, of 100,000 that end in any order
  within a thousand, and `runner: placement`: bytes a unit to lay out an exchange of as many;
- `plan`: seconds of CPU time and MB of the whole command over a recipe whose source has that many units,
  `rerun` likewise of a run that has nothing to do, without its summary;
- `exchange: opens a reducer` and `exchange: opens` of 20,000 units and 4,096 partitions; the tool
  `one level` is every file opened for every partition. `exchange: opens, counted`: of 160 units and 48
  partitions, by counting, with `exchange: opens, expected` from the layout;
- `found: opens` from pairs to masks, of 40,000 partitions and 20,000 units; `one level` is every file
  opened for every bucket.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import pyarrow as pa
from harness import Bench, arguments, bounded

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.ledger import Ledger, LedgerEntry
from corpusmill.pipelines.records.manifest import StepKey, Summary
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.records.receipt import (
    DatasetPart,
    FileEntry,
    IndexPart,
    MaskPart,
    PairsPart,
    Part,
    PartitionsPart,
    Receipt,
    UnitResult,
)
from corpusmill.pipelines.run.graph import graph_record
from corpusmill.pipelines.run.operators.buckets import merge_levels
from corpusmill.pipelines.run.operators.layout import (
    ROWS_FILE,
    Placement,
    RowsWriter,
    last_files,
    layout_of,
    merge_files,
)
from corpusmill.pipelines.run.operators.partitions import read_partition
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.checked_ipc import CheckedFile
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.datasets import MASK_UNITS, DatasetView
from corpusmill.pipelines.storage.graph_file import write_graph
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.storage.segments import SEGMENT, content_of_parts, sources_of, write_segment

TEXT = 32 * 2**20  # bytes of a unit's documents


def receipt(number: int, part: Part, suffixes: tuple[str, ...]) -> Receipt:
    """A receipt with figures of its own, as those of a real run have."""
    files = []
    for suffix in suffixes:
        digest = sha256(f"{number}{suffix}".encode()).hexdigest()
        batches = digest[32:] if suffix.endswith(".arrow") else None
        files.append(FileEntry.of(f"{number:05d}.{suffix}", 20_000 + int(digest[:6], 16), digest, batches))
    drawn = files[0].sha256
    came, size, lost = 9000 + int(drawn[14:16], 16), TEXT + int(drawn[16:20], 16), int(drawn[8:11], 16)
    gone = 4000 * lost + int(drawn[11:14], 16)
    kept = came - lost, size - gone
    entry = LedgerEntry("read", "a", came, size, *kept, kept[1], {"short": (lost, gone)}, {})
    if isinstance(part, DatasetPart):
        part = DatasetPart(dict.fromkeys(part.sources, kept))
    return Receipt(number, kept[0], tuple(files), (entry,), part, drawn[:32])


def complete(step: StepFolder, summary: Summary, units: Iterator[Receipt]) -> float:
    """Make a step complete with made-up units; seconds of CPU time that writing took."""
    entries, ledger, spent = [], Ledger(), 0.0
    sources: dict[str, tuple[int, int]] = {}
    while batch := [unit for _, unit in zip(range(SEGMENT), units, strict=False)]:
        started = time.process_time()
        entries.append(write_segment(step.segments, step.place, batch))
        spent += time.process_time() - started
        for unit in batch:
            ledger.add(unit.ledger)
        for source, (documents, size) in sources_of(batch).items():
            had = sources.get(source, (0, 0))
            sources[source] = had[0] + documents, had[1] + size
    whole = Summary(
        summary.step, summary.fingerprint, summary.key, {}, content_of_parts(e.content for e in entries),
        sum(e.rows for e in entries), sum(e.bytes for e in entries), ledger.record(), sources,
    )  # fmt: skip
    step.complete(whole, entries)
    return spent


RECIPE = """
name: scale
output: run
engine: {{kind: inline}}
sources: {{a: {{read: {{jsonl: x.jsonl}}}}}}
{sections}
"""


def parts(name: str, units: int) -> tuple[int, Part, tuple[str, ...]]:
    """Units of a step of the recipe, what is particular to them, and their files."""
    layout = layout_of(1024, units, units * TEXT)
    buckets = -(-units // MASK_UNITS)
    found: dict[str, tuple[int, Part, tuple[str, ...]]] = {
        "a.index": (1, IndexPart(TEXT), ("index.json",)),
        "a": (units, DatasetPart({"a": (9000, TEXT)}), ("parquet", "removed.arrow")),
        "dedup.exact.scatter": (sum(layout.files), PartitionsPart(layout), ("rows.arrow",)),
        "dedup.exact.gather": (layout.partitions, PairsPart(buckets), ("found.arrow",)),
        "dedup.exact": (buckets, MaskPart(MASK_UNITS, {}), ("removed.arrow",)),
    }
    return found[name]


def made_run(folder: Path, sections: str, units: int) -> tuple[Path, float]:
    """A recipe and a run of it whose steps are complete with made-up units; CPU seconds that one took."""
    (folder / "x.jsonl").write_text('{"text": "one"}\n')
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(sections=sections))
    runner = Runner(load_recipe(path))
    runner.list_inputs()
    spent = 0.0
    for name, state in runner.states.items():
        runner.prepare(state)
        assert state.folder is not None
        assert state.key is not None
        count, part, suffixes = parts(name, units)
        made = (receipt(number, part, suffixes) for number in range(count))
        summary = Summary(name, state.fingerprint, state.key, {}, "", 0, 0, (), {})
        spent = max(spent, complete(state.folder, summary, made))
        runner.prepare(state)
    steps = {name: state.fingerprint for name, state in runner.states.items()}
    runner.folder.write_current(Pointer("scale", steps))
    runner.folder.write_recipe(dict(runner.recipe.raw))
    write_graph(runner.folder, graph_record(runner.recipe, runner.graph))
    return path, spent


def resident() -> float:
    """This process's memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def metadata(bench: Bench, folder: Path, units: int) -> None:
    path, spent = made_run(folder, "dedup: [exact]", units)
    runner = Runner(load_recipe(path))
    runner.list_inputs()
    for state in runner.states.values():
        runner.prepare(state)
    step = runner.states["a"].folder
    assert step is not None
    size = sum(file.stat().st_size for file in step.path.rglob("*") if file.is_file())
    bench.add("receipts: bytes a unit", "corpusmill", size / units, "B")
    bench.add("receipts: written", "corpusmill", spent / units * 1e6, "us/unit")
    asked = [asked_of("--worker", str(step.path)) for _ in range(5)]
    opens, lookups, memory = (median(figures) for figures in zip(*asked, strict=True))
    bench.add("view: opens", "corpusmill", opens * 1e3, "ms")
    bench.add("view: lookups", "corpusmill", lookups * 1e3, "ms")
    bench.add("worker: memory", "corpusmill", memory, "MB")
    plan = "from corpusmill.pipelines.cli.main import main; sys.argv[1:1] = ['plan', '--no-estimate']; main()"
    rerun = (
        "from corpusmill.pipelines.recipe.loader import load_recipe; "
        "from corpusmill.pipelines.run.runner import Runner; Runner(load_recipe(sys.argv[1])).run()"
    )
    for job, work in (("plan", plan), ("rerun", rerun)):
        seconds, megabytes = measured(work, path)
        bench.add(f"{job}: CPU time", "corpusmill", seconds, "s")
        bench.add(f"{job}: memory", "corpusmill", megabytes, "MB")


def worker(step: Path) -> None:
    """What a worker needs of a step: printed as seconds, seconds and MB."""
    before = resident()
    started = time.process_time()
    view = DatasetView([StepFolder(step)], [])
    units = len(view)
    view.input_bytes(units // 2)
    opens = time.process_time() - started
    started = time.process_time()
    for unit in range(0, units, max(1, units // 1000)):
        view.facts(unit)
        StepFolder(step).entry(f"{unit:05d}.parquet")
    print(json.dumps([opens, time.process_time() - started, resident() - before]))


def asked_of(*arguments: str) -> list[float]:
    """The figures that this file prints, run with these arguments in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True)
    figures: list[float] = json.loads(done.stdout)
    return figures


def runner(units: int) -> None:
    """What the runner holds of units that end in any order within a thousand: printed as MB."""
    count, part, suffixes = parts("a", units)
    with tempfile.TemporaryDirectory() as folder:
        before = resident()
        committed = Committed(StepFolder(Path(folder) / "steps" / "a" / "v"))
        draw, waiting = random.Random(1), list(range(min(1000, count)))
        for number in range(len(waiting), count):
            place = draw.randrange(len(waiting))
            committed.add(receipt(waiting[place], part, suffixes))
            waiting[place] = number
        for number in waiting:
            committed.add(receipt(number, part, suffixes))
        committed.finish()
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps([most - before]))


def placing(bench: Bench, units: int) -> None:
    bench.add("runner: receipts", "corpusmill", asked_of("--runner", str(min(units, 100_000)))[0], "MB")
    tracemalloc.start()
    placement(units, 4096)
    bench.add("runner: placement", "corpusmill", tracemalloc.get_traced_memory()[1] / units, "B/unit")
    tracemalloc.stop()


def measured(work: str, path: Path) -> tuple[float, float]:
    """CPU seconds and MB of a process that does `work`, Python code whose first argument is a recipe."""
    code = (
        f"import resource, sys\ntry: {work}\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print('used', used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    _, seconds, kilobytes = done.stdout.strip().splitlines()[-1].split()
    return float(seconds), float(kilobytes) * 1024 / 1e6


def opens(bench: Bench, folder: Path) -> None:
    units, partitions = 20_000, 4096
    placed = placement(units, partitions)
    bench.add("exchange: opens a reducer", "one level", units, "files")
    bench.add("exchange: opens a reducer", "corpusmill", len(last_files(placed.layout, 0)), "files")
    bench.add("exchange: opens", "one level", units * partitions, "opens")
    bench.add("exchange: opens", "corpusmill", expected_opens(placed), "opens")
    found, buckets = 40_000, -(-units // MASK_UNITS)
    merging = (found, *merge_levels(found))
    bench.add("found: opens", "one level", found * buckets, "opens")
    bench.add("found: opens", "corpusmill", sum(merging[:-1]) + buckets * merging[-1], "opens")
    counted, expected = counted_opens(folder, 160, 48)
    bench.add("exchange: opens, expected", "corpusmill", expected, "opens")
    bench.add("exchange: opens, counted", "corpusmill", counted, "opens")


def placement(units: int, partitions: int) -> Placement:
    """That of units whose contents are drawn."""
    names = np.random.default_rng(1).integers(0, 2**64, units, np.uint64)
    return Placement.of(partitions, units, units * TEXT, lambda: names)


def expected_opens(placed: Placement) -> int:
    layout = placed.layout
    merging = (merge for level in range(1, len(layout.files)) for merge in placed.merges(level))
    return sum(m.end - m.first for m in merging) + layout.partitions * len(last_files(layout, 0))


def counted_opens(folder: Path, units: int, partitions: int) -> tuple[int, int]:
    """Files opened to bring rows of every unit together, counted, and as many as the layout says."""
    step, draw = StepFolder(folder / "steps" / "exchange" / "v"), np.random.default_rng(1)
    placed = placement(units, partitions)
    layout = placed.layout
    count = 0
    real = CheckedFile.__enter__

    def entered(file: CheckedFile) -> CheckedFile:
        nonlocal count
        count += 1
        return real(file)

    receipts: list[Receipt] = []
    for file in range(layout.files[0]):
        attempt = step.attempt(len(receipts), 1)
        writer = RowsWriter(attempt.file(ROWS_FILE), layout, width=layout.width)
        for unit in range(*placed.units(file)):
            rows = 2 * partitions
            keys = pa.array(draw.integers(0, 2**64, rows, np.uint64))
            columns = [
                keys,
                pa.array(np.full(rows, unit - placed.units(file)[0], np.uint32)),
                pa.array(np.arange(rows, dtype=np.uint32)),
            ]
            writer.add(pa.table(columns, names=["key", "unit", "row"]))
        writer.close()
        receipts.append(attempt.commit(UnitResult(writer.rows, part=writer.part(placed.units(file)[0]))))
    with mock.patch.object(CheckedFile, "__enter__", entered):
        for level in range(1, len(layout.files)):
            for merge in placed.merges(level):
                attempt = step.attempt(len(receipts), 1)
                merge_files(step, layout, merge, attempt.file(ROWS_FILE))
                with mock.patch.object(CheckedFile, "__enter__", real):
                    part = PartitionsPart(layout, merge.base)
                    receipts.append(attempt.commit(UnitResult(0, part=part)))
        summary = Summary("exchange", "v", NO_KEY, {}, "", 0, 0, (), {})
        complete(step, summary, iter(receipts))
        met = sum(table.num_rows for p in range(partitions) if (table := read_partition(step, p)) is not None)
    assert met == units * 2 * partitions
    return count, expected_opens(placed)


NO_KEY = StepKey("scatter", (), "", {}, "", 0, StepOptions(), (), (), {})


def main() -> None:
    options = arguments(__doc__)
    bench = Bench("scale")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        opens(bench, here)
        placing(bench, 10_000 if options.quick else 1_000_000)
        metadata(bench, here, 10_000 if options.quick else 1_000_000)
    bench.print(options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--runner"]:
        runner(int(sys.argv[2]))
    else:
        bounded(main)
