"""An exchange that takes more of a source than `max_removed` allows stops the run, which can then go on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder

TEXTS = [f"line {k} of a text about rain on roofs\n\nand its end, number {k}" for k in range(10)]


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path) -> None:
    """Of `a` 8 of 20 documents repeat others (40%), of `b` one of ten does."""
    write(tmp_path / "a.jsonl", TEXTS[:8] + TEXTS[:6] + [TEXTS[7]] * 2 + [f"only once {k}" for k in range(4)])
    write(tmp_path / "b.jsonl", [f"snow {k} falls on a hill" for k in range(9)] + ["snow 3 falls on a hill"])


def write(path: Path, texts: list[str]) -> None:
    rows = [{"id": f"{path.stem}{k}", "text": text} for k, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def recipe(folder: Path, dedup: list[Any]) -> Path:
    sources = {name: {"read": {"jsonl": f"{name}.jsonl"}} for name in ("a", "b")}
    made = {"name": "r", "output": "out", "engine": {"kind": "inline"}, "sources": sources, "dedup": dedup}
    path = folder / "r.yaml"
    path.write_text(json.dumps(made))
    return path


def run(folder: Path, dedup: list[Any]) -> RunResult:
    return run_recipe(load_recipe(recipe(folder, dedup)))


def test_the_run_stops_before_what_comes_after_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path, [{"exact": {"max_removed": 0.3}}, "minhash"])
    (said,) = str(caught.value).splitlines()
    assert "dedup.exact: exact takes out 8 of 20 documents (40.0%) and" in said
    assert "of source a, more than its `max_removed` of 0.3 allows" in said
    largest = re.search(r"Largest clusters: 2 for ([0-9a-f]{32}) \(a\), such as ([0-9a-f]{32}), ", said)
    assert largest is not None
    assert f"corpusmill explain ID --run {tmp_path / 'out'}" in said
    assert "`max_removed: 0.4" in said
    assert "source b" not in said
    folder = RunFolder(tmp_path / "out")
    assert folder.current_step("dedup.exact") is not None
    assert folder.current_step("dedup.minhash.scatter") is None


def test_with_a_larger_limit_it_goes_on_from_there(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        run(tmp_path, [{"exact": {"max_removed": 0.3}}])
    done = run(tmp_path, [{"exact": {"max_removed": 0.5}}])
    assert sum(state.redone for state in done.steps if state.step.name.startswith("dedup")) == 0
    with pytest.raises(UserError, match="max_removed"):  # of a step that is complete already, too
        run(tmp_path, [{"exact": {"max_removed": 0.1}}])


def test_a_limit_of_its_own_for_a_source(tmp_path: Path) -> None:
    run(tmp_path, [{"exact": {"max_removed": {"b": 0.2}}}])
    with pytest.raises(
        UserError, match=r"1 of 10 .* of source b, .* of 0.05 allows.* `max_removed: {b: 0.1\d}`"
    ):
        run(tmp_path, [{"exact": {"max_removed": {"b": 0.05}}}])
    with pytest.raises(RecipeError, match=r"max_removed.*unknown source.*did you mean `b`"):
        run(tmp_path, [{"exact": {"max_removed": {"bb": 0.05}}}])
    with pytest.raises(RecipeError, match="max_removed"):
        run(tmp_path, [{"exact": {"max_removed": 1.5}}])
    with pytest.raises(RecipeError, match=r"max_removed\.b: must be at least 0\.0, got -1"):
        run(tmp_path, [{"exact": {"max_removed": {"b": -1}}}])


def test_bytes_cut_count_and_both_sources_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path, [{"paragraph": {"min_characters": 1, "min_words": 1, "max_removed": 0.01}}])
    a, b = str(caught.value).splitlines()
    assert "of source a" in a
    assert re.search(r"takes out \d+ of 10 documents \(\S+%\) and \d+ of \d+ bytes \(\S+%\) of source b", b)


def test_a_limit_changes_no_output(tmp_path: Path) -> None:
    run(tmp_path, ["exact"])
    done = run(tmp_path, [{"exact": {"max_removed": 0.9}}])
    assert all(state.redone == 0 for state in done.steps)


def test_equal_records_are_named_once(tmp_path: Path) -> None:
    """Records that are equal in all have one id."""
    record = json.dumps({"text": "one and the same record"})
    (tmp_path / "a.jsonl").write_text(f"{record}\n" * 4)
    with pytest.raises(UserError) as caught:
        run(tmp_path, [{"exact": {"max_removed": {"a": 0.5}}}])
    assert re.search(r"Largest clusters: 3 for (\w+) \(a\), such as \1\. Compare them", str(caught.value))
