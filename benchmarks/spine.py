"""Weight of the spine: start-up, overhead a unit, pass-through speed, memory against input size.

Jobs: `help`, `validate` (seconds of the whole command), `engine ready` (seconds to the first worker's
answer), `scheduling` (microseconds of the driver's CPU a unit, on an engine that does nothing, of a million
units that are drawn lazily), `unit overhead` (milliseconds a unit of nothing), `pass-through` (MB/s of text,
Parquet to Parquet, one worker; peer: datatrove's reader and writer), `peak memory` (MiB of all processes,
input once and 16 times, and the ratio).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from harness import Bench, arguments, bounded

from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.engines.engine import Done, Event, Order
from corpusmill.pipelines.run.engines.process import ProcessEngine
from corpusmill.pipelines.run.scheduler import Policy, Scheduler, Unit
from corpusmill.pipelines.run.task import Executed, Task, TaskStep
from corpusmill.pipelines.storage.run_folder import StepFolder

CLI = [sys.executable, "-m", "corpusmill"]
HERE = Path(__file__).resolve().parent


def seconds(command: list[str], repeats: int) -> float:
    """Least wall time of a command."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        best = min(best, time.perf_counter() - started)
    return best


def words(seed: int, size: int) -> list[str]:
    """Generated documents of about 3 kB, `size` bytes together, from a vocabulary of 20,000 words."""
    draw = random.Random(seed)
    letters = "etaoinshrdlucmfwyp"
    vocabulary = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(20_000)]
    texts, held = [], 0
    while held < size:
        text = " ".join(draw.choices(vocabulary, k=500)) + "."
        texts.append(text)
        held += len(text)
    return texts


def write_parquet(path: Path, texts: list[str]) -> int:
    """Texts as Parquet with ids, row groups of 1,000; returns text bytes."""
    table = pa.table(
        {"id": [f"{path.stem}-{i}" for i in range(len(texts))], "text": pa.array(texts, pa.large_string())}
    )
    pq.write_table(table, path, row_group_size=1000, compression="zstd")
    return sum(len(text) for text in texts)


def start_up(bench: Bench, folder: Path, repeats: int) -> None:
    bench.add("help", "corpusmill", seconds([*CLI, "--help"], repeats), "s")
    (folder / "x.jsonl").write_text('{"text": "one"}\n')
    recipe = folder / "validate.yaml"
    steps = "[language, gopher_quality, gopher_repetition, fineweb_quality]"
    recipe.write_text(
        f"name: v\nsources: {{a: {{read: {{jsonl: x.jsonl}}, steps: {steps}}}}}\ndedup: [exact, minhash]\n"
    )
    bench.add("validate", "corpusmill", seconds([*CLI, "validate", str(recipe)], repeats), "s")

    no_step = TaskStep("", "", (), (), (), {}, StepOptions())
    engine = ProcessEngine(1)
    started = time.perf_counter()
    engine.submit([(1, Task(no_step, "", 0, {}, 0, {}, {}))], 0)  # fails at once: an answer is all we want
    while not engine.poll(0.01):
        pass
    bench.add("engine ready", "corpusmill", time.perf_counter() - started, "s")
    engine.close()


class _Idle:
    """An engine on which every task is done at once."""

    slots, room, beats, batch_seconds = 256, 1024, True, 40.0

    def __init__(self) -> None:
        self._tickets: list[int] = []

    def submit(self, batch: Sequence[Order], memory: int) -> None:
        self._tickets += [ticket for ticket, _ in batch]

    def poll(self, timeout: float) -> list[Event]:
        tickets, self._tickets = self._tickets, []
        return [Done(ticket, Executed(Receipt(0, 0, ()), 0.005)) for ticket in tickets]

    def cancel(self, ticket: int) -> None: ...
    def close(self) -> None: ...


def scheduling(bench: Bench, folder: Path, units: int) -> None:
    """What the scheduler itself spends on a unit."""
    step = TaskStep("a", "read", (), (), (), {}, StepOptions())
    lazily = (
        Unit("a", number, Task(step, "", number, {}, 0, {}, {}), StepFolder(folder))
        for number in range(units)
    )
    given = [lazily]
    done: list[int] = []
    started = time.process_time()
    Scheduler(
        _Idle(), Policy(), lambda: given.pop() if given else (), lambda unit, _: done.append(unit.number)
    ).run()
    bench.add("scheduling", "corpusmill", 1e6 * (time.process_time() - started) / units, "us")
    if len(done) != units:
        raise RuntimeError(f"expected {units} units, got {len(done)}")


def run(recipe: Path, out: Path) -> dict[str, object]:
    """Run a recipe; returns its JSON summary."""
    done = subprocess.run(
        [*CLI, "run", str(recipe), "--out", str(out), "--json"], check=True, capture_output=True
    )
    result: dict[str, object] = json.loads(done.stdout)
    return result


def overhead(bench: Bench, folder: Path, units: int) -> None:
    """A source of `units` files of one document of 66 kB, each a unit: what a unit costs, work included."""
    texts = [" ".join(words(1, 66_000))]
    for number in range(units):
        write_parquet(folder / f"u{number:04d}.parquet", texts)
    recipe = folder / "units.yaml"
    recipe.write_text(
        "name: u\nengine: {workers: 1}\n"
        "sources: {a: {read: {parquet: {files: u*.parquet, split_bytes: 65536}}}}\n"
    )
    found = run(recipe, folder / "units-run")
    events = [
        json.loads(line) for line in (folder / "units-run" / "log" / "run.jsonl").read_text().splitlines()
    ]
    done = [event for event in events if event["event"] == "unit" and event["step"] == "a"]
    span = done[-1]["time"] - done[0]["time"]
    bench.add("unit overhead", "corpusmill", 1000 * span / max(1, len(done) - 1), "ms")
    if len(done) != units:
        raise RuntimeError(f"expected {units} units, got {len(done)}: {found}")


def pass_through(bench: Bench, folder: Path, size: int) -> None:
    source = folder / "pass"
    source.mkdir()
    text = 0
    for number in range(4):
        text += write_parquet(source / f"{number}.parquet", words(number, size // 4))
    recipe = folder / "pass.yaml"
    recipe.write_text("name: p\nengine: {workers: 1}\nsources: {a: {read: {parquet: pass/*.parquet}}}\n")
    found = run(recipe, folder / "pass-run")
    events = [
        json.loads(line) for line in (folder / "pass-run" / "log" / "run.jsonl").read_text().splitlines()
    ]
    spent = sum(event["seconds"] for event in events if event["event"] == "unit")
    bench.add("pass-through, work of the units", "corpusmill", text / 1e6 / spent, "MB/s")
    bench.add("pass-through, whole command", "corpusmill", text / 1e6 / float(str(found["seconds"])), "MB/s")
    with contextlib.suppress(ImportError):
        bench.add(
            "pass-through, whole command", "datatrove", text / 1e6 / datatrove_pass(source, folder), "MB/s"
        )


def datatrove_pass(source: Path, folder: Path) -> float:
    """Seconds datatrove takes to read and write the same Parquet files in one process."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    executor = LocalPipelineExecutor(
        pipeline=[ParquetReader(str(source)), ParquetWriter(str(folder / "datatrove"))],
        tasks=1,
        logging_dir=str(folder / "datatrove-log"),
    )
    started = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        executor.run()
    return time.perf_counter() - started


class Peak(threading.Thread):
    """Samples the resident memory of a process and its children every 20 ms."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.root = psutil.Process(process.pid)
        self.process = process
        self.most = 0

    def run(self) -> None:
        while self.process.poll() is None:
            with contextlib.suppress(psutil.Error):
                family = [self.root, *self.root.children(recursive=True)]
                self.most = max(self.most, sum(member.memory_info().rss for member in family))
            time.sleep(0.02)


def memory(bench: Bench, folder: Path, size: int) -> None:
    """The same documents once, and 16 times under other ids: filters, both deduplications, tokens, shards."""
    texts = words(9, size)
    peaks = []
    for times in (1, 16):
        source = folder / f"times{times}"
        source.mkdir()
        for copy in range(times):
            # Copies differ in one word, so that exact deduplication keeps them and later steps see them all.
            with (source / f"{copy:02d}.jsonl").open("w") as file:
                for number, text in enumerate(texts):
                    shuffled = text if copy == 0 else " ".join(random.Random(copy).sample(text.split(), 500))
                    file.write(json.dumps({"id": f"{copy}-{number}", "text": shuffled}) + "\n")
        recipe = folder / f"times{times}.yaml"
        recipe.write_text(
            f"name: m\nengine: {{workers: 2}}\n"
            f"sources: {{a: {{read: {{jsonl: {{files: times{times}/*.jsonl, split_bytes: 1MB}}}}, "
            "steps: [gopher_repetition]}}\n"
            "dedup: [exact, minhash]\n"
            "tokenizer: {train: {vocab_size: 4096, sample_bytes: 4MB}}\n"
            "pack: {sequence_length: 1024, shard_tokens: 1M}\n"
        )
        process = subprocess.Popen(
            [*CLI, "run", str(recipe), "--out", str(folder / f"run{times}")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        peak = Peak(process)
        peak.start()
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(errors.decode())
        peak.join()
        peaks.append(peak.most)
        bench.add(f"peak memory, {times}x", "corpusmill", peak.most / 2**20, "MiB")
    bench.add("peak memory, 16x over 1x", "corpusmill", peaks[1] / peaks[0], "ratio")


def main() -> None:
    options = arguments(__doc__)
    bench = Bench("spine")
    os.chdir(HERE)
    with tempfile.TemporaryDirectory(prefix="corpusmill-spine-") as name:
        folder = Path(name)
        start_up(bench, folder, 1 if options.quick else 5)
        scheduling(bench, folder, 2 * 10**4 if options.quick else 10**6)
        overhead(bench, folder, 30 if options.quick else 300)
        pass_through(bench, folder, (8 if options.quick else 400) * 10**6)
        memory(bench, folder, 500_000 if options.quick else 20_000_000)
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
