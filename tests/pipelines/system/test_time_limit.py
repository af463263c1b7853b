"""A page that takes too long ends its worker, is quarantined, and the rest goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.system.time_limit import limited
from tests.pipelines.run.test_faults import ledger

SPIN = """
import sys, time
from corpusmill.pipelines.system import time_limit
if sys.argv[1] == "worker":
    time_limit.let_limits_end_this_process()
with time_limit.limited(0.1):
    pass
begun = time.process_time()
while time.process_time() - begun < 0.3:  # within no limit
    pass
print("outside", flush=True)
with time_limit.limited(0.1):
    begun = time.process_time()
    while time.process_time() - begun < 30 and sys.argv[1] == "worker":
        pass
print("inside", flush=True)
"""


def test_only_a_worker_is_ended_and_only_within_the_limit() -> None:
    ended, left = (
        subprocess.run([sys.executable, "-c", SPIN, kind], capture_output=True, text=True, check=False)
        for kind in ("worker", "other")
    )
    assert (ended.stdout.split(), ended.returncode != 0) == (["outside"], True)
    assert (left.stdout.split(), left.returncode) == (["outside", "inside"], 0)
    with limited(0.1):  # in this process, which is no worker
        pass


def _quarantined(folder: Path, read: object, step: object) -> tuple[dict[str, int], object]:
    """Documents quarantined by reason and documents kept of a source with one step."""
    recipe = {
        "name": "slow",
        "output": str(folder / "run"),
        "engine": {"kind": "process", "workers": 1},
        "sources": {"files": {"read": read, "steps": [step]}},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    run_recipe(load_recipe(path))
    (name,) = step if isinstance(step, dict) else ()
    entry = ledger(folder / "run", "files")[f"{name}/files"]
    quarantined = entry["quarantined"]
    assert isinstance(quarantined, dict)
    return {reason: tally[0] for reason, tally in quarantined.items()}, entry["documents_kept"]


def test_the_page_is_quarantined_and_the_others_are_kept(tmp_path: Path) -> None:
    sound = "<html><body><article>{}</article></body></html>".format("<p>The lamp is lit at six.</p>" * 20)
    for name in ("a", "c"):  # before and behind the page that takes long
        (tmp_path / f"{name}.html").write_text(sound)
    (tmp_path / "b.html").write_text(f"<html><body>{'<p>A long, long page, <b>word</b> by word.' * 60_000}")
    step = {"extract": {"extractor": "trafilatura", "max_page_seconds": 0.3}}
    assert _quarantined(tmp_path, {"html": {"files": str(tmp_path / "*.html")}}, step) == ({"crash": 1}, 2)


def test_so_is_a_file_whose_grammar_takes_long(tmp_path: Path) -> None:
    sound = "class Lamp {\n    int hour = 6;\n}\n"
    texts = {"A.java": sound, "B.java": "x => " * 1500, "C.java": sound}  # tree-sitter: over a second
    rows = (json.dumps({"text": text, "path": path}) for path, text in texts.items())
    (tmp_path / "code.jsonl").write_text("\n".join(rows))
    step = {"code_quality": {"max_syntax_errors": 0.1, "max_parse_seconds": 0.2}}
    assert _quarantined(tmp_path, {"jsonl": str(tmp_path / "code.jsonl")}, step) == ({"crash": 1}, 2)
