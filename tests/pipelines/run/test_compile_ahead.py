"""The process that compiles kernels of later steps: what it is given, and that it warms and marks each."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.run import compile_ahead
from corpusmill.pipelines.run.compile_ahead import compiling_ahead
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.step import StageSpec, Step
from tests.waiting import wait_until

EXACT = StageSpec("corpusmill.dedup.exact", "Exact", "exact", {})
PLUGIN = StageSpec("plugin_of_the_test", "Mine", "mine", {})


def test_each_stage_is_warmed_and_marked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    mark = compile_ahead._mark(EXACT)
    steps = [
        Step("exact", operator_named("scatter"), (EXACT,)),
        Step("mine", operator_named("map"), (PLUGIN,)),
    ]
    with (tmp_path / "log").open("wb") as log, compiling_ahead(steps, log):
        wait_until(mark.exists, "the stage is marked")
    assert (tmp_path / "log").read_bytes() == b""
    assert sorted(path.name for path in mark.parent.iterdir()) == [mark.name, "scatter"]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process is started though all stages are marked")

    monkeypatch.setattr("corpusmill.pipelines.run.compile_ahead.subprocess.Popen", refuse)
    with compiling_ahead(steps, io.BytesIO()):
        pass


def test_kernels_of_operators_are_warmed_as_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both rules, at once and in rounds: a run compiles nothing that was not there."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    steps = [Step("resolve", operator_named("resolve_by_rule"), ())]
    mark = compile_ahead._mark("resolve_by_rule")
    with (tmp_path / "log").open("wb") as log, compiling_ahead(steps, log):
        wait_until(mark.exists, "the operator is marked")
    assert (tmp_path / "log").read_bytes() == b""
    compiled = sorted(path.name for path in (tmp_path / "cache").rglob("removals.remove_*.nbc"))
    assert compiled
    code = "from tests.pipelines.run.test_resolution import test_many_random_pairs as pairs\n"
    code += "for rule in ('direct', 'connected'): pairs(rule)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    assert sorted(path.name for path in (tmp_path / "cache").rglob("removals.remove_*.nbc")) == compiled


def test_what_fails_is_told_in_the_log_and_leaves_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    steps = [
        Step(
            "exact",
            operator_named("map"),
            (StageSpec("corpusmill.dedup.exact", "Exact", "exact", {"no": 1}),),
        )
    ]
    with (tmp_path / "log").open("wb") as log, compiling_ahead(steps, log):
        told = b"Extra inputs are not permitted"
        wait_until(lambda: told in (tmp_path / "log").read_bytes(), "the log tells the fault")
    assert not compile_ahead._mark(EXACT).parent.exists()
