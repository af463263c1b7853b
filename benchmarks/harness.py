"""What every benchmark shares: the machine's description, the table and the JSON object.

Run a benchmark as `python benchmarks/<name>.py [--quick] [--json]`. Figures of peer and project come from one
run on one machine; compare ratios, not absolute speeds. Every benchmark ends: `bounded` runs it in a process
of its own, which is killed after QUICK_SECONDS with `--quick`, and otherwise once a figure takes more than
FIGURE_SECONDS. The figures it had by then are printed, a row says that it was out of time, and the exit code
is 1. The quick run's jobs have the names of the full run's.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from corpusmill.pipelines.system.kernel_cache import use_kernel_cache

DATA = Path(
    os.environ.get("CORPUSMILL_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data")
)


use_kernel_cache()


QUICK_SECONDS = 50.0
FIGURE_SECONDS = 1200.0
_PIPE = "CORPUSMILL_BENCHMARK_PIPE"
_watched: list[int] = []  # in the process that `bounded` watches: where rows are told


@dataclass(frozen=True)
class Row:
    """One figure of one tool at one job; the project's own rows have the tool `corpusmill`.

    Without a value, `unit` says why there is none.
    """

    job: str
    tool: str
    value: float | None
    unit: str


@dataclass
class Bench:
    """Collects rows and prints them."""

    name: str
    rows: list[Row] = field(default_factory=list)

    def add(self, job: str, tool: str, value: float, unit: str) -> None:
        self._append(Row(job, tool, float(f"{value:.5g}"), unit))

    def leave_out(self, job: str, tool: str, why: str) -> None:
        """A row without a figure."""
        self._append(Row(job, tool, None, why))

    def _append(self, row: Row) -> None:
        self.rows.append(row)
        sys.stderr.write(f"{row.job}: {row.tool}: {_shown(row.value)} {row.unit}\n")
        for descriptor in _watched:
            os.write(descriptor, json.dumps(asdict(row)).encode() + b"\n")

    def print(self, as_json: bool) -> None:
        """The table, or one JSON object; nothing in the process that `bounded` watches, whose parent does."""
        if _watched:
            return
        if as_json:
            rows = [asdict(row) for row in self.rows]
            print(json.dumps({"benchmark": self.name, "machine": machine(), "rows": rows}, indent=1))
            return
        print(f"\n{self.name} on {machine()}\n")
        for row in self.rows:
            print(f"{row.job:<76}{row.tool:<12}{_shown(row.value):>14} {row.unit}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


def bounded(main: Callable[[], None]) -> None:
    """Run a benchmark's `main` in a process of its own within the time it may take; ends this process."""
    if _PIPE in os.environ:
        _watched.append(int(os.environ.pop(_PIPE)))
        return main()
    if {"-h", "--help"} & set(sys.argv):
        return main()
    bench = Bench(Path(sys.argv[0]).stem)
    quick = "--quick" in sys.argv
    reads, writes = os.pipe()
    child = subprocess.Popen(
        [sys.executable, *sys.argv],
        pass_fds=(writes,),
        env={**os.environ, _PIPE: str(writes)},
        start_new_session=True,
    )
    os.close(writes)
    try:
        late = _listen(bench, reads, quick)
        if not late:
            child.wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    bench.print("--json" in sys.argv)
    sys.exit(1 if late else child.returncode)


def _listen(bench: Bench, reads: int, quick: bool) -> bool:
    """Collect rows until the benchmark closes its end; whether it ran out of time before."""
    start = heard = time.monotonic()
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reads, selectors.EVENT_READ)
        while True:
            limit = start + QUICK_SECONDS if quick else heard + FIGURE_SECONDS
            if not selector.select(max(0.0, limit - time.monotonic())):
                said = f"out of time: killed after {time.monotonic() - start:.0f} s"
                bench.leave_out("what was to come", "corpusmill", said)
                return True
            piece = os.read(reads, 2**16)
            if not piece:
                return False
            heard = time.monotonic()
            *lines, pending = (pending + piece).split(b"\n")
            bench.rows += [Row(**json.loads(line)) for line in lines]


def machine() -> dict[str, object]:
    """Processor, cores, memory and Python of this machine."""
    import psutil

    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def arguments(
    description: str | None, add: Callable[[argparse.ArgumentParser], object] = lambda parser: None
) -> argparse.Namespace:
    """`--quick` (under 50 seconds), `--json` and `--data`, and the options that `add` adds."""
    parser = argparse.ArgumentParser(description=description)
    add(parser)
    parser.add_argument("--quick", action="store_true", help="a short run, under 50 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real corpora")
    return parser.parse_args()


def load(path: Path, most: int | None = None) -> list[dict[str, Any]]:
    """First rows (or all) of a .jsonl.zst file."""
    import zstandard

    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as raw:
        lines = io.TextIOWrapper(raw, encoding="utf-8")
        return [json.loads(line) for line in islice(lines, most)]
