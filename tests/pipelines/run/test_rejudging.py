"""Law: a run with other thresholds, from stored texts and scores, writes what a run from nothing writes."""

from __future__ import annotations

import importlib.util
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import RunResult, run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.warm import Warm

_SPEC = importlib.util.spec_from_file_location(
    "corpusmill_tests_asked", Path(__file__).parents[1] / "inspection" / "what_if" / "conftest.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
asked = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(asked)

COUNTED = """
import pathlib
_MEASURED = pathlib.Path(__file__).with_name("measured.txt")


def _count(name, docs):
    if len(docs):
        with _MEASURED.open("a") as file:
            file.write(f"{name} {len(docs)}\\n")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The recipe of `what_if`, its texts kept, its filters counting what they measure."""
    asked.write_inputs(tmp_path, 240)
    plugin = (tmp_path / "own.py").read_text(encoding="utf-8")
    plugin = plugin.replace("from pydantic import Field\n", f"from pydantic import Field\n{COUNTED}\n")
    for name in ("words", "vowels", "unsaid"):
        plugin = plugin.replace("def score(self, docs):\n", f"def score(self, docs) :\n        _count('{name}', docs)\n", 1)  # fmt: skip  # noqa: E501
    (tmp_path / "own.py").write_text(plugin, encoding="utf-8")
    recipe = (tmp_path / "recipe.yaml").read_text(encoding="utf-8")
    recipe = recipe.replace(
        "    steps: [enough_words, vowels", "    keep_texts: true\n    steps: [enough_words, vowels"
    )
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    return tmp_path


def run(folder: Path, *overrides: str) -> RunResult:
    return run_recipe(load_recipe(folder / "recipe.yaml", list(overrides)))


def measured(folder: Path) -> dict[str, int]:
    """Documents that each filter measured since it was last asked."""
    found: dict[str, int] = {}
    file = folder / "measured.txt"
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        name, count = line.split()
        found[name] = found.get(name, 0) + int(count)
    file.unlink(missing_ok=True)
    return found


def everything(folder: RunFolder) -> Iterator[tuple[str, str, object]]:
    """Of every step its content, ledger and files."""
    for name, fingerprint in folder.current().steps.items():
        manifest = folder.step(name, fingerprint).need_manifest()
        yield name, manifest.content, (manifest.ledger, [(f.name, f.sha256) for f in manifest.files])


def settings(seed: int) -> list[str]:
    draw = random.Random(seed)
    choices = [
        f"enough_words.at_least={draw.choice([0, 20, 70, 120, 'null'])}",
        f"enough_words.at_most={draw.choice(['null', 180, 240])}",
        f"vowels.most={draw.choice([0.38, 0.39, 0.4, 0.6])}",
        f"vowels.firsts={draw.choice(['[]', '[z, a]', '[e]'])}",
    ]
    return [f"sources.web.steps.{one}" for one in draw.sample(choices, draw.randint(1, 4))]


@pytest.mark.parametrize("seed", range(5))
def test_other_thresholds_give_the_bytes_of_a_run_from_nothing(folder: Path, seed: int) -> None:
    run(folder)
    for again in range(2):  # also from a version that was itself judged again
        chosen = settings(10 * seed + again)
        here = run(folder, *chosen)
        fresh = run(folder, *chosen, f"output=fresh{again}")
        assert sorted(everything(here.folder)) == sorted(everything(fresh.folder))


def test_nothing_is_read_and_only_what_newly_passes_is_measured(folder: Path) -> None:
    first = run(folder)
    came = measured(folder)
    assert came["words"] > came["vowels"] > 0
    step = first.folder.current_step("web")
    assert step is not None
    second = run(folder, "sources.web.steps.enough_words.at_least=20")
    redone = {state.step.name for state in second.steps if state.redone}
    assert "web" in redone
    assert not redone & {"web.index", "web.texts", "other.index", "other"}
    again = measured(folder)
    assert "words" not in again
    new = second.folder.current_step("web")
    assert new is not None
    entries = {e.stage: e for e in new.need_manifest().ledger}
    old = {e.stage: e for e in step.need_manifest().ledger}
    passed = entries["enough_words"].documents_kept - old["enough_words"].documents_kept
    assert 0 < again["vowels"] <= passed + 30  # but for ids that stand twice


def test_what_scores_follow_from_is_measured_again(folder: Path) -> None:
    run(folder)
    came = measured(folder)
    run(folder, "sources.web.steps.vowels.letters=aei")
    again = measured(folder)
    assert again["vowels"] == came["vowels"]


def test_damaged_scores_are_measured_again(folder: Path) -> None:
    first = run(folder)
    step = first.folder.current_step("web")
    assert step is not None
    file = next(step.data.glob("*.removed.arrow"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    chosen = "sources.web.steps.enough_words.at_least=20"
    here, fresh = run(folder, chosen), run(folder, chosen, "output=fresh")
    assert list(everything(here.folder)) == list(everything(fresh.folder))


def test_a_recipe_without_keep_texts_has_the_same_documents(folder: Path) -> None:
    kept = run(folder).folder
    plain = run(folder, "sources.web.keep_texts=false", "output=plain").folder
    assert asked.texts_of(kept, "web") == asked.texts_of(plain, "web")
    assert asked.left_of(kept, "web") == asked.left_of(plain, "web")


def test_killed_while_it_judges_again_the_next_run_ends_with_the_same_bytes(folder: Path, warm: Warm) -> None:
    run(folder)
    chosen = "sources.web.steps.enough_words.at_least=20"
    command = ("run", folder / "recipe.yaml", "--set", chosen)
    for point in ("commit-before-rename:1", "commit-before-receipt:1", "commit-after-receipt:2"):
        killed = warm.call(*command, env={"CORPUSMILL_FAULTPOINT": point})
        assert killed.returncode == -signal.SIGKILL, point
    here, fresh = run(folder, chosen), run(folder, chosen, "output=fresh")
    assert sorted(everything(here.folder)) == sorted(everything(fresh.folder))
