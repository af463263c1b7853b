"""Does time grow in proportion to the input, whatever it is? Crafted inputs of doubling size, and exponents.

    python benchmarks/hostile.py [--quick] [--json] [--only EXPRESSION]

Every job is one part of corpusmill (a reader, the page extractor and what it is made of, a filter, a
deduplication, a pre-tokenizer, an import, the recipe and its overrides) on one crafted shape (`hostile_*`):
runs of one character, brackets and tags that never close, deep nesting, very many of something small, one of
something very large. Each is run on 100 KB, 200 KB, ... 3.2 MB (`--quick`: 50 to 400 KB).

The figure is the exponent e of time ~ size^e, by least squares over the sizes that take at least some
milliseconds; 1 is linear, 2 quadratic. It should be at most 1.15 everywhere: sorting and caches cost a little
more than linear. 0 says that even the largest input takes less than that. Time is the process's CPU time, the
least of several runs, after a run that compiles; a job above 1.15 is measured again before it is believed,
since other work on a machine slows large inputs more than small ones. A job that takes too long (100 s of the
processor, `--quick`: 8 s) or ends the process has the exponent 9.

`seconds a megabyte` is the time on the largest input that was run; its slowest jobs are worth a look, too.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import re
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import psutil
from harness import Bench, bounded
from hostile_files import heads, readers
from hostile_pages import page_parts, pages
from hostile_settings import imports, recipes, repositories, terminal_and_sample, tokenizer_files
from hostile_shapes import Job
from hostile_texts import pretokenizers, texts

PARTS = (
    *(readers, heads, pages, page_parts, texts, imports, repositories),
    *(pretokenizers, tokenizer_files, recipes, terminal_and_sample),
)
SIZES = [100_000 * 2**k for k in range(6)]
QUICK_SIZES = [50_000, 200_000, 400_000]
LEAST = 0.004  # seconds; shorter times are noise
BOUND = 1.15
STUCK = 9.0
COMPILING = 200.0  # CPU seconds for a job's first run, which compiles kernels that are not in the cache


def jobs() -> list[Job]:
    """Every job, in the order of the table."""
    return [job for part in PARTS for job in part()]


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """The slope of log(seconds) over log(sizes), over times of at least `LEAST`; 0 with fewer than two."""
    points = [(math.log(n), math.log(t)) for n, t in zip(sizes, seconds, strict=True) if t >= LEAST]
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def least_seconds(job: Job, given: Any, repeats: int) -> float:
    best = math.inf
    spent = 0.0
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        job.work(given)
        took = time.process_time() - start
        best, spent = min(best, took), spent + took
        if spent > 0.3:
            break
    return best


def measure(job: Job, sizes: list[int], repeats: int) -> tuple[float, float]:
    """(exponent, seconds a megabyte on the largest input)."""
    made = [job.make(size) for size in sizes]
    seconds = [least_seconds(job, given, repeats) for given in made]
    for _ in range(3):
        if exponent(sizes, seconds) <= BOUND:
            break
        again = [least_seconds(job, given, repeats) for given in made]
        seconds = [min(pair) for pair in zip(seconds, again, strict=True)]
    return exponent(sizes, seconds), seconds[-1] / sizes[-1] * 1e6


def serve(pipe: Connection, sizes: list[int], repeats: int) -> None:
    """Measure the jobs whose numbers come in, in a process that can be ended."""
    known = jobs()
    while True:
        job = known[pipe.recv()]
        job.work(job.make(min(sizes) // 50))  # compiles
        pipe.send(None)
        pipe.send(measure(job, sizes, repeats))


class Measurer:
    """A process that measures jobs, begun anew where one does not end."""

    def __init__(self, sizes: list[int], repeats: int) -> None:
        self._arguments = (sizes, repeats)
        self._context = multiprocessing.get_context("spawn")
        self._begin()

    def _begin(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()

    def measure(self, number: int, limit: float) -> tuple[float, float] | None:
        """The figures of a job; None where it takes more than `limit` CPU seconds or ends the process."""
        with suppress(EOFError, BrokenPipeError):
            self._pipe.send(number)
            if self._wait(COMPILING):
                self._pipe.recv()
                if self._wait(limit):
                    figures: tuple[float, float] = self._pipe.recv()
                    return figures
        self.end()
        self._begin()
        return None

    def _wait(self, limit: float) -> bool:
        """Whether an answer comes within `limit` CPU seconds of the process."""
        before = self._seconds()
        while not self._pipe.poll(0.5):
            if self._seconds() - before > limit:
                return False
        return True

    def _seconds(self) -> float:
        """CPU seconds of the process; after its end the limit is over."""
        try:
            spent = psutil.Process(self._process.pid).cpu_times()
        except psutil.NoSuchProcess:
            return math.inf
        return float(spent.user + spent.system)

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run, under 50 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--only", default="", help="only jobs whose name matches this expression")
    asked = parser.parse_args()
    sizes, repeats = (QUICK_SIZES, 2) if asked.quick else (SIZES, 5)
    limit = 8.0 if asked.quick else 100.0
    bench = Bench("hostile")
    measurer = Measurer(sizes, repeats)
    above = []
    for number, job in enumerate(jobs()):
        if not re.search(asked.only, job.name):
            continue
        figures = measurer.measure(number, limit)
        value, rate = figures if figures is not None else (STUCK, math.nan)
        bench.add(job.name, "corpusmill", value, "exponent")
        if figures is not None:
            bench.add(job.name, "corpusmill", rate, "s/MB")
        if value > BOUND:
            above.append(f"{job.name}: {value:.2f}")
    measurer.end()
    bench.print(asked.json)
    if above:
        sys.stderr.write(f"above {BOUND}: {json.dumps(above, indent=1)}\n")


if __name__ == "__main__":
    bounded(main)
