"""How deduplication grows with the documents: processor time of each step, memory of worker and driver.

Jobs, each with the number of documents, or of MB, in its name (quick: 1,250 and 5,000, or 500 and 2,000):
- `growth: STEP, N documents`: seconds of CPU time that the units of a step of `exact` and `minhash` took, of
  20,000 to a million documents of 60 words, of which one in ten is another with a word changed and one in
  twenty another; `gather` is all rounds; `growth: STEP, exponent`: of time by documents, from the first size
  to the last;
- `growth: memory of the worker, N documents` and `of the driver`: the most that either took, in MB;
- `copies` and `bucket`: the same of copies of one document, and of documents that differ in one word each and
  share most buckets, 25,000 and 100,000;
- `paragraph`: of documents of 60 words that have one paragraph in common, 100,000 and a million, cut by the
  stage of that name;
- `giants`: of two documents of 50 and of 200 MB (or those of `--megabytes`; quick: 1 and 4), one of which has
  half of the other's paragraphs, through `paragraph` and through `substring`, which must cut what stands in
  both, and of two that differ in one word of 20 paragraphs, through `exact` and `minhash`, which must remove
  one.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from harness import Bench, arguments, bounded

from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run import work
from corpusmill.pipelines.run.runner import Runner

RECIPE = """
name: growth
output: run
engine: {{kind: {engine}, workers: 1}}
sources:
  a: {{read: {{jsonl: {{files: "in/*.jsonl", split_bytes: 1048576, max_record_bytes: 4294967296}}}}}}
dedup: [{dedup}]
"""
CPU_CLOCK = SimpleNamespace(perf_counter=time.process_time)
DEDUP = ("exact", "minhash", "paragraph", "substring")
AT_ONCE = 20_000  # documents of a file
Measured = tuple[dict[str, float], float, float, list[int]]  # what `run` gives


def mixed(count: int) -> list[str]:
    """Documents of 60 words; one in ten is another with a word changed, and one in twenty is another."""
    draw = random.Random(1)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    last: list[str] = []
    texts = []
    for number in range(count):
        text = draw.choices(words, k=60)
        if last and number % 20 == 7:
            text = list(last)
        elif last and number % 10 == 3:
            text = [*last[:30], draw.choice(words), *last[31:]]
        last = text if number % 10 == 0 else last
        texts.append(" ".join(text))
    return texts


def copies(count: int) -> list[str]:
    """One document again and again."""
    return [" ".join(f"word{place}" for place in range(60))] * count


def one_word_each(count: int) -> list[str]:
    """Documents of 60 words, each with one of its own."""
    draw, texts = random.Random(1), []
    for number in range(count):
        words = [f"word{place}" for place in range(60)]
        words[draw.randrange(60)] = f"own{number}"
        texts.append(" ".join(words))
    return texts


def one_paragraph(count: int) -> list[str]:
    """Documents of 60 words, half of them a paragraph that all have."""
    draw, common = random.Random(1), " ".join(f"word{place}" for place in range(30))
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    return [" ".join(draw.choices(words, k=30)) + "\n\n" + common for _ in range(count)]


def two_giants(megabytes: int) -> list[str]:
    """Two documents of so many MB, of paragraphs of 60 words, of which every other one is in both."""
    draw = random.Random(1)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    first: list[str] = []
    second: list[str] = []
    size = 0
    while size < megabytes * 1_000_000:
        first.append(" ".join(draw.choices(words, k=60)))
        second.append(first[-1] if len(first) % 2 else " ".join(draw.choices(words, k=60)))
        size += len(first[-1]) + 2
    return ["\n\n".join(first), "\n\n".join(second)]


def two_alike(megabytes: int) -> list[str]:
    """Two documents of so many MB, of paragraphs of 60 words, 20 of which differ in a word."""
    draw = random.Random(1)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    first: list[str] = []
    size = 0
    while size < megabytes * 1_000_000:
        first.append(" ".join(draw.choices(words, k=60)))
        size += len(first[-1]) + 2
    second = list(first)
    for place in range(0, len(second), max(1, len(second) // 20)):
        second[place] = second[place].replace(" ", " changed ", 1)
    return ["\n\n".join(first), "\n\n".join(second)]


def check_giants(texts: list[str], left: list[int]) -> None:
    """Raise unless what a run says of documents removed and bytes cut, all together, is right."""
    removed, cut = left
    one, other = (text.split("\n\n") for text in texts)
    if len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) <= 25:
        if left != [1, 0]:
            raise AssertionError(f"one of two documents must go; {removed} went, {cut} bytes were cut")
        return
    both = sum(len(a) + 2 for a, b in zip(one, other, strict=True) if a == b)
    # `substring` may leave or take part of a word at each end of what stands in both.
    if removed or abs(cut - both) > 12 * len(one):
        raise AssertionError(f"{both} bytes must be cut, and no document removed; {cut} and {removed} were")


def write(folder: Path, texts: list[str]) -> None:
    (folder / "in").mkdir(parents=True)
    for first in range(0, len(texts), AT_ONCE):
        lines = [json.dumps({"text": text}) for text in texts[first : first + AT_ONCE]]
        (folder / "in" / f"{first:09d}.jsonl").write_text("\n".join(lines) + "\n")


def run(folder: Path) -> Measured:
    """The run's CPU seconds by step, the most that a worker and this process took in MB, and documents
    removed and bytes cut."""
    with mock.patch.object(work, "time", CPU_CLOCK):
        done = Runner(load_recipe(folder / "recipe.yaml")).run()
    record = load_record(done.folder)
    seconds = {state.step.name: state.seconds for state in done.steps}
    worker = max(log.peak_rss for log in record.log.steps.values()) / 1e6
    entries = [
        entry
        for step in record.steps.values()
        for entry in step.data.need_manifest().ledger
        if entry.stage in DEDUP
    ]
    gone = [sum(documents for entry in entries for documents, _ in entry.removed.values())]
    gone.append(sum(size for entry in entries for size in entry.cut.values()))
    return seconds, worker, most_memory() / 1e6, gone


def most_memory() -> int:
    """The most bytes that this process took. `ru_maxrss` may be of the process that started it, which has the
    documents."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measured(folder: Path, texts: list[str], dedup: str, engine: str) -> Measured:
    """What `run` gives: `inline` in this process, with other engines in one of its own."""
    write(folder, texts)
    (folder / "recipe.yaml").write_text(RECIPE.format(engine=engine, dedup=dedup))
    if engine == "inline":
        found = run(folder)
    else:
        command = [sys.executable, __file__, "--run", str(folder)]
        asked = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        seconds, worker, driver, gone = json.loads(asked.stdout.splitlines()[-1])
        found = seconds, worker, driver, gone
    shutil.rmtree(folder)
    return found


def grow(
    bench: Bench,
    folder: Path,
    job: str,
    make: Callable[[int], list[str]],
    dedup: str,
    sizes: list[int],
    at_once: bool,
) -> None:
    """Rows of one kind of documents: seconds by step, exponents from the first size to the last, memory.
    `at_once`: memory is measured while the runs go on, by another process."""
    found: dict[int, dict[str, float]] = {}
    of = "MB each" if job == "giants" else "documents"
    first, last = sizes[0], sizes[-1]

    with ThreadPoolExecutor(1) as pool:
        memory = pool.submit(measured, folder / "memory", make(last), dedup, "process")
        if not at_once:
            memory.result()
        runs = {n: measured(folder / f"{n}", make(n), dedup, "inline") for n in sizes}
    for count in sizes:
        seconds, _, _, gone = runs[count]
        if job == "giants":
            check_giants(make(count), gone)
        steps: dict[str, float] = {}
        for step, spent in seconds.items():
            if step.startswith("dedup."):
                _, stage, *rest = step.split(".")
                kind = "apply" if not rest else "gather" if rest[0].startswith("round") else rest[0]
                steps[f"{stage}.{kind}"] = steps.get(f"{stage}.{kind}", 0.0) + spent
        for step, spent in steps.items():
            bench.add(f"{job}: {step}, {count:,} {of}", "corpusmill", spent, "s")
        found[count] = steps
    for step, spent in found[last].items() if last > first else ():
        exponent = math.log(spent / max(found[first][step], 1e-3), last / first)
        bench.add(f"{job}: {step}, exponent", "corpusmill", exponent, "")
    _, worker, driver, _ = memory.result()
    for process, most in (("worker", worker), ("driver", driver)):
        bench.add(f"{job}: memory of the {process}, {last:,} {of}", "corpusmill", most, "MB")


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--only", help="one of growth, copies, bucket, paragraph, giants")
        parser.add_argument("--megabytes", help="of a document of the job giants, such as 50,200")

    options = arguments(__doc__, more)
    bench = Bench("growth")
    sizes, hot, many = [20_000, 80_000, 320_000, 1_000_000], [25_000, 100_000], [100_000, 1_000_000]
    giants = [50, 200]
    if options.quick:
        sizes, hot, many, giants = [1_250, 5_000], [500, 2_000], [500, 2_000], [1, 4]
    if options.megabytes:
        giants = [int(one) for one in options.megabytes.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured(folder / "compiled", mixed(100), "exact, minhash", "inline")  # kernels are compiled here
        for job, make, dedup, counts in (
            ("growth", mixed, "exact, minhash", sizes),
            ("copies", copies, "minhash", hot),
            ("bucket", one_word_each, "minhash", hot),
            ("paragraph", one_paragraph, "paragraph", many),
            ("giants", two_giants, "paragraph", giants),
            ("giants", two_giants, "substring", giants),
            ("giants", two_alike, "exact, minhash", giants),
        ):
            if options.only in (None, job):
                grow(bench, folder, job, make, dedup, counts, options.quick)
    bench.print(options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run(Path(sys.argv[2]))))
    else:
        bounded(main)
