"""Random distributions of the tests: `python tests/shuffle.py --rounds 10 [paths and options of pytest]`.

Every round draws an order, deals it to 1, 2 or 4 processes that run at once (`--processes`), and may run
them under `nice` beside processes that burn the processor (`--busy`, every second round by default;
`--burners`, one a core by default). Prints a line a round with the seconds it took, and for a failure the
tests and the command that repeats that process alone; a process's whole output is in the folder `--logs`.
Exits 1 if any round failed. Costs a whole suite a round, so name the paths you touched; `--grain test`
mixes the tests of all files, and makes modules' fixtures again.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BURN = "while True: pass"
NICE = 10


def command(arguments: argparse.Namespace, seed: int, part: str) -> list[str]:
    """What one process of a round runs."""
    order = ["--shuffle", str(seed), "--grain", arguments.grain, "--share", part]
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *order, *arguments.pytest]


def play(arguments: argparse.Namespace, seed: int, processes: int, busy: bool) -> list[str]:
    """Run one round; returns a line for every failure, and the command that repeats it."""
    count = arguments.burners if busy else 0
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    running = []
    try:
        for number in range(1, processes + 1):
            line = command(arguments, seed, f"{number}/{processes}")
            log = arguments.logs / f"seed-{seed}-{number}-of-{processes}.log"
            with log.open("wb") as output:
                prefix = ["nice", "-n", str(NICE)] if busy else []
                process = subprocess.Popen([*prefix, *line], stdout=output, stderr=output, cwd=ROOT)
            running.append((process, line, log))
        failures = []
        for process, line, log in running:
            if process.wait() not in (0, 5):  # 5: a share without a test
                said = log.read_text("utf-8", "replace").splitlines()
                failures += [text for text in said if text.startswith(("FAILED", "ERROR"))] or said[-3:]
                failures.append(f"again: {shlex.join(line)}")
        return failures
    finally:
        for process in (*burners, *(process for process, _, _ in running)):
            if process.poll() is None:
                process.kill()
            process.wait()


def main() -> int:
    """Play the rounds; the exit code."""
    parser = argparse.ArgumentParser(description="Run the tests in random distributions.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the next ones count on")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="taken in turn")
    parser.add_argument("--grain", choices=("file", "test"), default="file")
    parser.add_argument("--busy", choices=("alternate", "always", "never"), default="alternate")
    parser.add_argument("--burners", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--logs", type=Path, default=ROOT / "build" / "shuffle")
    arguments, arguments.pytest = parser.parse_known_args()
    arguments.logs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through `play`, which ends what it started
    failed = 0
    for number in range(arguments.rounds):
        seed, processes = arguments.seed + number, arguments.processes[number % len(arguments.processes)]
        busy = arguments.busy == "always" or (arguments.busy == "alternate" and number % 2 == 1)
        began = time.monotonic()
        failures = play(arguments, seed, processes, busy)
        failed += bool(failures)
        beside = ", nice beside a burner" if busy else ""
        verdict = "failed" if failures else "passed"
        seconds = time.monotonic() - began
        print(f"seed {seed}, {processes} processes{beside}: {verdict} in {seconds:.0f} s", flush=True)
        for line in failures:
            print(f"  {line}", flush=True)
    print(f"{arguments.rounds - failed} of {arguments.rounds} distributions passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
