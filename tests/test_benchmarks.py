"""A benchmark ends in its time whatever it does, and prints the figures it had by then."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

# Where it hangs, the clock of the watching process stands still until both figures have come, then leaps.
PROGRAM = """
import sys, time, types
sys.path.insert(0, {folder!r})
import harness
from harness import Bench, Row, bounded
harness.QUICK_SECONDS = {patience}
came = []
harness.Row = lambda *given, **named: came.append(1) or Row(*given, **named)
harness.time = types.SimpleNamespace(monotonic=lambda: 1e9 * ({hangs} and len(came) == 2))
def main():
    bench = Bench("program")
    bench.add("speed", "corpusmill", 3.0, "MB/s")
    bench.leave_out("speed", "peer", "left out: not there")
    {then}
    bench.print(True)
bounded(main)
"""


@pytest.mark.parametrize(
    ("then", "code", "more"),
    [
        ("pass", 0, []),
        ("time.sleep(10**6)", 1, [("what was to come", None)]),
        ("raise SystemExit(3)", 3, []),
    ],
    ids=["ends", "hangs", "fails"],
)
def test_a_benchmark_ends_and_prints_what_it_has(
    then: str, code: int, more: list[tuple[str, None]], tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        PROGRAM.format(folder=str(BENCHMARKS), patience=PATIENCE, then=then, hangs="sleep" in then)
    )
    command = [sys.executable, str(path), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    assert found["benchmark"] == "program"
    assert [(row["job"], row["value"]) for row in found["rows"]] == [("speed", 3.0), ("speed", None), *more]


def test_every_benchmark_is_bounded_and_has_a_quick_run() -> None:
    programs = [path for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text("utf-8")]
    assert {"train_step", "spine", "filters"} <= {path.stem for path in programs}
    for path in programs:
        text = path.read_text("utf-8")
        if "Bench(" in text:
            assert text.rstrip().endswith("bounded(main)"), path
            assert re.search(r"--quick|arguments\(", text), path


def test_the_pipeline_of_minhash_keeps_one_of_two_equal_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    minhash = importlib.import_module("minhash")
    texts = [" ".join(f"{word}{number}" for word in ("alpha", "beta", "gamma") * 4) for number in range(6)]
    kept = minhash.kept_of(minhash.corpusmill_pipeline, [*texts, texts[0]])
    assert kept[1:6].all()
    assert kept.sum() == len(texts)
