"""A page that takes too long ends its worker, is quarantined, and the rest goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError, Interrupted
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.poison import keep_poison, known_poison
from corpusmill.pipelines.run.runner import RunListener, run_recipe
from corpusmill.pipelines.run.unit import Unit
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.system.time_limit import limited
from tests.pipelines.run.test_faults import ledger
from tests.waiting import PATIENCE

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


SOUND = "class Lamp {\n    int hour = 6;\n}\n"
SLOW = "x => " * 1500  # tree-sitter: over a second


def _recipe(folder: Path, texts: list[str]) -> Path:
    rows = (json.dumps({"text": text, "path": f"{n}.java"}) for n, text in enumerate(texts))
    (folder / "code.jsonl").write_text("\n".join(rows))
    recipe = {
        "name": "slow",
        "output": "run",
        "engine": {"kind": "process", "workers": 1},
        "sources": {
            "files": {
                "read": {"jsonl": "code.jsonl"},
                "steps": [{"code_quality": {"max_syntax_errors": 0.5, "max_parse_seconds": 0.2}}],
            }
        },
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return folder / "recipe.yaml"


def _failures(folder: Path) -> int:
    lines = (folder / "run" / "log" / "run.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines].count("failure")


class StopsAtTheSecond(RunListener):
    """Ends the run when a worker has died twice."""

    def __init__(self) -> None:
        self.deaths = 0

    def unit_event(self, unit: Unit, what: str, detail: str) -> None:
        self.deaths += what == "crash"
        if self.deaths == 2:
            raise Interrupted("stopped by the test")


def test_each_file_costs_one_worker_and_none_is_looked_for_twice(tmp_path: Path) -> None:
    path = _recipe(tmp_path, [SLOW, SOUND, SLOW])
    with pytest.raises(Interrupted):
        run_recipe(load_recipe(path), StopsAtTheSecond())
    assert _failures(tmp_path) == 2
    (kept,) = tmp_path.glob("run/steps/files/*/poison/*.json")
    assert sorted(json.loads(kept.read_text())) == ["0"]
    run_recipe(load_recipe(path))
    assert _failures(tmp_path) == 2 + 1
    assert not kept.exists()
    entry = ledger(tmp_path / "run", "files")["code_quality/files"]
    assert entry["quarantined"] == {"crash": [2, 2 * len(SLOW)]}
    assert entry["documents_kept"] == 1


def test_a_worker_that_somebody_started_tells_of_the_limit(tmp_path: Path) -> None:
    path = _recipe(tmp_path, [SLOW, SOUND, SLOW])
    path.write_text(path.read_text().replace('"process", "workers": 1', '"workers"'))
    command = [sys.executable, "-m", "corpusmill", "worker", str(tmp_path / "run")]
    with (
        (tmp_path / "worker.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as worker,
    ):
        try:
            run_recipe(load_recipe(path))
            assert worker.wait(timeout=PATIENCE) == 0, (tmp_path / "worker.log").read_text()
        finally:
            worker.kill()
    assert _failures(tmp_path) == 2
    entry = ledger(tmp_path / "run", "files")["code_quality/files"]
    assert entry["quarantined"] == {"crash": [2, 2 * len(SLOW)]}


def test_what_is_kept_of_a_unit_is_read_or_told_as_damaged(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path / "steps" / "a" / "b")
    assert not folder.has_poison
    assert known_poison(folder, 3) == {}
    keep_poison(folder, 3, {7: ("extract", "crash: why")})
    assert folder.has_poison
    assert known_poison(folder, 3) == {7: ("extract", "crash: why")}
    assert known_poison(folder, 4) == {}
    for content in ("[1]", "{", '{"a": ["x", "y"]}', '{"1": 2}'):
        folder.poison_path(3).write_text(content)
        with pytest.raises(IntegrityError, match="does not name documents"):
            known_poison(folder, 3)
    folder.clear_scratch()
    assert not folder.has_poison
