"""Does time grow in proportion to the input, whatever it is? Crafted inputs of doubling size, and exponents.

    python benchmarks/hostile.py [--quick] [--json] [--only EXPRESSION]

Every job is one part of corpusmill (a reader, the page extractor and what it is made of, a filter, a
deduplication, a pre-tokenizer, an encoder, an import, the recipe and its overrides, a command) on one crafted
shape (`hostile_*`): runs of one character, brackets and tags that never close, deep nesting, very many of
something small, one of something very large. Each is run on 100 KB, 200 KB, ... 3.2 MB.

The figure is the exponent e of time ~ size^e, by least squares over the four largest sizes; 1 is linear, 2
quadratic. It should be at most 1.15 everywhere: sorting and caches cost a little more than linear. Times
under 20 ms are noise and left out of the fit; 0 says that not even two sizes take that long. Time is the
process's CPU time, the least of several runs, after a run that compiles. A job above 1.15 is measured up to
six times again before it is believed, since other work on a machine slows large inputs more than small
ones. A job that takes over 100 s of the processor on a size, or ends the process, has the exponent 9.

Known above it: `encode tokenizers`, 1.13 to 1.26 on runs of one character, each a single pre-token. Its time
passes within `tokenizers`, which merges with a heap: by callgrind, instructions rise from 100 KB to 800 KB
with exponent 1.02 on blanks and 1.03 on one letter. Each byte of text takes it some 90 bytes of memory, so
larger texts miss the caches more often.

`--quick` runs every job once on 12.5, 50 and 200 KB, as far as these take some milliseconds each, and leaves
out jobs that take seconds on any input: it finds early what is quadratic, and its exponents are noisy.

`seconds a megabyte` is the time on the largest input that was run; its slowest jobs are worth a look, too.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil
from harness import Bench, bounded
from hostile_code import code
from hostile_commands import looks, models, runs, tokenizers
from hostile_files import heads, readers
from hostile_pages import page_parts, pages
from hostile_settings import imports, recipes, repositories, terminal_and_sample, tokenizer_files
from hostile_shapes import Job, forget
from hostile_texts import pretokenizers, texts

PARTS = (
    *(readers, heads, code, pages, page_parts, texts, imports, repositories),
    *(pretokenizers, tokenizer_files, recipes, terminal_and_sample, tokenizers, models, runs, looks),
)
BOUND = 1.15
STUCK = 9.0
# The measuring process keeps the memory it has had. glibc gives each block above 32 MiB back to the system,
# which clears its pages anew for the next one: a step at one size, where the exponent should tell growth.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_TOP_PAD_": str(2**26)}
COMPILING = 200.0  # CPU seconds for a job's first run, which compiles kernels that are not in the cache


@dataclass(frozen=True)
class Effort:
    """How a run measures. Times in CPU seconds."""

    sizes: tuple[int, ...]
    fitted: int  # so many of the largest sizes decide
    least: float  # shorter times are noise
    repeats: int  # of the sizes that decide, unless they take `enough` together
    enough: float
    long: float  # what takes longer on the largest size is run once, unless it is above the bound
    further: float  # the next size is run if it should take at most this long
    again: int  # how often a job above the bound is measured again
    limit: float  # a job that takes longer on one size is stuck


FULL = Effort(tuple(100_000 * 2**k for k in range(6)), 4, 0.02, 5, 0.5, 2.0, math.inf, 6, 100.0)
QUICK = Effort((12_500, 50_000, 200_000), 2, 0.002, 1, 0.0, 0.0, 0.02, 1, 4.0)


def jobs() -> list[Job]:
    """Every job, in the order of the table."""
    return [job for part in PARTS for job in part()]


def exponent(effort: Effort, seconds: list[float]) -> float:
    """The slope of log(seconds) over log(size) at the largest sizes that were run; 0 with fewer than two.

    `seconds` are of the first sizes.
    """
    measured = list(zip(effort.sizes, seconds, strict=False))[-effort.fitted :]
    points = [(math.log(size), math.log(spent)) for size, spent in measured if spent >= effort.least]
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def one_run(job: Job, given: Any) -> float:
    gc.collect()
    start = time.process_time()
    job.work(given)
    return time.process_time() - start


def measure(job: Job, effort: Effort, tell: Callable[[], None]) -> tuple[float, float]:
    """(exponent, seconds a megabyte on the largest input). Calls `tell` after every run."""
    given: list[Any] = []
    seconds: list[float] = []

    def run(number: int) -> float:
        spent = one_run(job, given[number])
        tell()
        return spent

    for number, size in enumerate(effort.sizes):
        if number > 1 and seconds[-1] * size / effort.sizes[number - 1] > effort.further:
            break
        given.append(job.make(size))
        seconds.append(run(number))
    decide = [k for k in range(len(seconds))[-effort.fitted :] if seconds[k] >= effort.least / 2]

    def repeat(times: int) -> None:
        for number in decide:
            spent = 0.0
            for _ in range(times):
                if spent > effort.enough:
                    break
                took = run(number)
                seconds[number] = min(seconds[number], took)
                spent += took

    if exponent(effort, seconds) > 0 and effort.repeats > 1 and seconds[-1] < effort.long:
        repeat(1)
    for _ in range(effort.again):
        if exponent(effort, seconds) <= BOUND:
            break
        repeat(effort.repeats)
    return exponent(effort, seconds), seconds[-1] / effort.sizes[len(seconds) - 1] * 1e6


def serve(pipe: Connection, effort: Effort, folder: str) -> None:
    """Measure the jobs whose numbers come in, in a process that can be ended. Files go to `folder`."""
    tempfile.tempdir = folder
    known = jobs()
    while True:
        job = known[pipe.recv()]
        job.work(job.make(effort.sizes[0] // 4))  # compiles
        gc.collect()
        gc.freeze()  # what the job did not make is not looked through again
        pipe.send(None)
        pipe.send(measure(job, effort, lambda: pipe.send(None)))
        forget()


class Measurer:
    """A process that measures jobs, begun anew where one does not end."""

    def __init__(self, effort: Effort, folder: str) -> None:
        self._effort, self._folder = effort, folder
        self._context = multiprocessing.get_context("spawn")
        self._begin()

    def _begin(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=serve, args=(theirs, self._effort, self._folder), daemon=True
        )
        self._process.start()
        theirs.close()

    def measure(self, number: int) -> tuple[float, float] | None:
        """The figures of a job; None where a run takes too long or ends the process."""
        limit = COMPILING
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            self._pipe.send(number)
            while self._wait(limit):
                answer: tuple[float, float] | None = self._pipe.recv()
                if answer is not None:
                    return answer
                limit = self._effort.limit
        self.end()
        self._begin()
        return None

    def _wait(self, limit: float) -> bool:
        """Whether an answer comes within `limit` CPU seconds of the process."""
        before = self._seconds()
        while not self._pipe.poll(0.2):
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
    bench = Bench("hostile")
    above = []
    os.environ.update(ALLOCATOR)  # glibc reads them as a process starts
    with tempfile.TemporaryDirectory(prefix="corpusmill-hostile-") as folder:
        measurer = Measurer(QUICK if asked.quick else FULL, folder)
        for number, job in enumerate(jobs()):
            if not re.search(asked.only, job.name):
                continue
            if asked.quick and job.costly:
                bench.leave_out(job.name, "corpusmill", "not in the quick run: takes seconds on any input")
                continue
            figures = measurer.measure(number)
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
