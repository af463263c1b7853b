"""MinHash of very many documents, from band keys to removals, on the steps of a real run.

Documents are numbers whose signatures are drawn (`generated_signatures`): 20 band keys, a set of 16 shingles;
three in twenty are a version or a copy of another. Their scatter, its levels, the three rounds, the
resolution of pairs and the masks are those of every run with `dedup: [minhash]`, by two workers, step after
step. What is removed is compared with what the generator knows; a difference fails the benchmark.

Jobs (1, 5 and 50 million documents, or those of `--sizes`, in millions; quick: 50,000), each with
the number of documents in its name:
- `STEP, N documents`: seconds of CPU time of driver and workers, their start included; and MB that it wrote;
- `all, N documents`: the same of all steps together, and seconds by the clock;
- `memory, N documents`: the most that driver and workers held together at one instant, of their own, and with
  what they had mapped of files, which the system may drop (Linux; looked at twice a second);
- `disk, N documents`: the most that the run took at one instant (`keep: needed`);
- `STEP, exponent`: of seconds by documents, from the first size to the last.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from generated_signatures import removed_of
from harness import Bench, arguments, bounded

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.graph import build_graph
from corpusmill.pipelines.run.runner import Runner

PLUGIN = Path(__file__).with_name("generated_signatures.py")
RECIPE = f"""
name: signatures
output: run
keep: needed
plugins: [{PLUGIN}]
engine: {{kind: process, workers: 2, memory: 3GB}}
sources: {{a: {{read: {{numbered: {{files: "in/*.txt"}}}}}}}}
dedup: [signatures]
"""
PER_FILE = 50_000
BANDS, ROWS = 20, 6
STEPS = "dedup.signatures"
OFTEN_S = 0.5


class Watch:
    """The most memory of a process and all below it, and the most bytes below a folder, in MB."""

    def __init__(self, process: int, folder: Path) -> None:
        self._process, self._folder = psutil.Process(process), folder
        self.own = self.mapped = self.disk = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        looks = 0
        while not self._ended.wait(OFTEN_S):
            own = mapped = 0
            for process in self._family():
                found = rollup(process)
                own += found.get("Pss_Anon", 0) + found.get("Pss_Shmem", 0)
                mapped += found.get("Pss", 0)
            self.own, self.mapped = max(self.own, own / 1e3), max(self.mapped, mapped / 1e3)
            if looks % 20 == 0:
                self.disk = max(self.disk, size_of(self._folder))
            looks += 1

    def _family(self) -> list[int]:
        try:
            return [self._process.pid, *(child.pid for child in self._process.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []


def rollup(process: int) -> dict[str, int]:
    """Kilobytes by kind of memory of a process; none of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def size_of(folder: Path) -> float:
    """MB of all files below a folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it was removed meanwhile
                total += (Path(where) / name).stat().st_size
    return total / 1e6


def cpu_seconds() -> float:
    """Of this process and all that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def run(folder: Path) -> None:
    """Print, a line for each step: its name, CPU seconds, seconds, MB written, and rows."""
    recipe = folder / "recipe.yaml"
    Runner(load_recipe(recipe)).run(["a"])
    for step in [step.name for step in build_graph(load_recipe(recipe))]:
        if step.startswith(STEPS):
            before, start = cpu_seconds(), time.perf_counter()
            manifest = Runner(load_recipe(recipe)).run([step]).manifest(step)
            spent = cpu_seconds() - before, time.perf_counter() - start
            print(json.dumps([step, *spent, manifest.bytes / 1e6, manifest.rows]), flush=True)


def measured(bench: Bench, folder: Path, count: int) -> dict[str, float]:
    """CPU seconds by step of one size. Raises SystemExit where the run fails or removes other documents."""
    (folder / "in").mkdir(parents=True)
    for first in range(0, count, PER_FILE):
        text = f"{first} {min(PER_FILE, count - first)}\n"
        (folder / "in" / f"{first:012d}.txt").write_text(text)
    (folder / "recipe.yaml").write_text(RECIPE)
    of = f"{count:,} documents"
    found: dict[str, float] = {}
    by_clock = removed = 0.0
    command = [sys.executable, __file__, "--run", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = Watch(process.pid, folder)
        assert process.stdout is not None
        for line in process.stdout:
            name, spent, seconds, written, removed = json.loads(line)
            step = name.removeprefix(STEPS).lstrip(".") or "masks"
            bench.add(f"{step}, {of}", "corpusmill", spent, "s of CPU")
            bench.add(f"{step}, {of}: written", "corpusmill", written, "MB")
            found[step], by_clock = spent, by_clock + seconds
        watch.end()
    if process.returncode:
        raise SystemExit(f"the run of {of} failed")
    wanted = removed_of(count, BANDS, ROWS)
    if removed != wanted:
        raise SystemExit(f"{removed:,} of {of} were removed; it should be {wanted:,}")
    found["all"] = sum(found.values())
    bench.add(f"all, {of}", "corpusmill", found["all"], "s of CPU")
    bench.add(f"all, {of}: by the clock", "corpusmill", by_clock, "s")
    bench.add(f"removed, {of}", "corpusmill", removed, "documents, as many as should be")
    if watch.mapped:
        bench.add(f"memory, {of}", "corpusmill", watch.own, "MB")
        bench.add(f"memory and mapped files, {of}", "corpusmill", watch.mapped, "MB")
    bench.add(f"disk, {of}", "corpusmill", watch.disk, "MB")
    return found


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--sizes", help="millions of documents, such as 1,5,50")
        parser.add_argument("--folder", type=Path, help="where runs are made; 50 million take about 60 GB")

    options = arguments(__doc__, more)
    bench = Bench("signatures")
    millions = options.sizes or ("0.05" if options.quick else "1,5,50")
    sizes = [int(float(size) * 1_000_000) for size in millions.split(",")]
    found = {}
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    for count in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            found[count] = measured(bench, Path(name), count)
    first, last = sizes[0], sizes[-1]
    for step, spent in found[last].items() if last > first else ():
        exponent = math.log(spent / max(found[first][step], 1e-3), last / first)
        bench.add(f"{step}, exponent", "corpusmill", exponent, "")
    bench.print(options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(Path(sys.argv[2]))
    else:
        bounded(main)
