"""What every benchmark shares: the machine's description, the table and the JSON object.

Run a benchmark as `python benchmarks/<name>.py [--quick] [--json]`. Figures of peer and project come from one
run on one machine; compare ratios, not absolute speeds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

DATA = Path(
    os.environ.get("CORPUSMILL_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data")
)


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

    def print(self, as_json: bool) -> None:
        """The table, or one JSON object."""
        if as_json:
            rows = [asdict(row) for row in self.rows]
            print(json.dumps({"benchmark": self.name, "machine": machine(), "rows": rows}, indent=1))
            return
        print(f"\n{self.name} on {machine()}\n")
        for row in self.rows:
            print(f"{row.job:<44}{row.tool:<16}{row.value:>14,.4g} {row.unit}")


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
    return parser.parse_args()
