"""Kill a run on object storage at each of its requests, let it go on, and compare what it holds.

    python -m tests.faults.request_kills [--folder FOLDER]

The driver does all units itself, so one process sends all requests. At each it is killed (SIGKILL) twice:
before the server has seen the request, and after, without an answer. A second run goes on, at every second
request from a machine without the first one's files. Prints a line for each kill. The exit code is 1 where
what a run holds differs from what a run in a folder holds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.object_server import KEYS, object_server
from tests.pipelines.run.forked_runs import forked_runs
from tests.pipelines.run.remote_runs import BUCKET, Kind, kill_at, of_recipe, requests_of_a_run, run, short
from tests.pipelines.run.small_corpus import write_corpus

KINDS: tuple[Kind, ...] = ("drop", "lost")


def campaign(folder: Path) -> int:
    """Kill at each request; the number of runs that came out wrong."""
    os.environ.update(KEYS)
    corpus = write_corpus(folder / "corpus")
    beside = short(folder / "beside", corpus)
    run(beside)
    wanted, wrong, kills, started = of_recipe(beside), 0, 0, time.perf_counter()
    with object_server(folder / "moto.log") as server, forked_runs() as runs:
        server.make_bucket(BUCKET)
        count = requests_of_a_run(runs, server, corpus, folder / "whole")
        for number in range(count):
            for kind in KINDS:
                found = kill_at(runs, server, corpus, folder / f"{kind}-{number}", number, kind)
                kills += 1
                wrong += found != wanted
                print(f"request {number + 1} of {count}, {kind}: {'equal' if found == wanted else 'DIFFERS'}")
    print(f"{kills} kills, {wrong} runs differ, {time.perf_counter() - started:.0f} s")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="Where runs are kept; a temporary folder by default.")
    folder = parser.parse_args().folder
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        return int(bool(campaign(folder)))
    with tempfile.TemporaryDirectory() as temporary:
        return int(bool(campaign(Path(temporary))))


if __name__ == "__main__":
    sys.exit(main())
