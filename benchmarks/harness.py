"""What every benchmark shares: the machine's description, the table and the JSON object.

Run a benchmark as `python benchmarks/<name>.py [--quick] [--json]`. Figures of peer and project come from one
run on one machine; compare ratios, not absolute speeds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from corpusmill.pipelines.kernel_cache import use_kernel_cache

DATA = Path(
    os.environ.get("CORPUSMILL_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data")
)


use_kernel_cache()


@dataclass(frozen=True)
class Row:
    """One figure of one tool at one job; the project's own rows have the tool `corpusmill`."""

    job: str
    tool: str
    value: float
    unit: str


@dataclass
class Bench:
    """Collects rows and prints them."""

    name: str
    rows: list[Row] = field(default_factory=list)

    def add(self, job: str, tool: str, value: float, unit: str) -> None:
        self.rows.append(Row(job, tool, float(f"{value:.5g}"), unit))
        sys.stderr.write(f"{job}: {tool}: {value:.4g} {unit}\n")

    def extend(self, rows: list[dict[str, Any]]) -> None:
        """Add rows given as dictionaries."""
        for row in rows:
            self.add(row["job"], row["tool"], row["value"], row["unit"])

    def print(self, as_json: bool) -> None:
        """The table, or one JSON object."""
        if as_json:
            rows = [asdict(row) for row in self.rows]
            print(json.dumps({"benchmark": self.name, "machine": machine(), "rows": rows}, indent=1))
            return
        print(f"\n{self.name} on {machine()}\n")
        for row in self.rows:
            print(f"{row.job:<76}{row.tool:<12}{row.value:>14,.4g} {row.unit}")


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


def arguments(description: str | None) -> argparse.Namespace:
    """`--quick` (under 50 seconds) and `--json`."""
    parser = argparse.ArgumentParser(description=description)
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
