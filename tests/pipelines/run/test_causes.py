"""What is told of an exception that a stage raises on a document: the same words on every machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.run.operators.causes import cause_of, words_of
from corpusmill.pipelines.storage.checked_ipc import read_batches
from tests.warm import Warm

PLUGIN = '''"""A filter that fails on some documents."""

import sys

from corpusmill.pipelines.contract.stage import Filter


def odd(text):
    if "LEAVE" in text:
        sys.exit(3)
    if "NONE" in text:
        raise MemoryError
    if "ODD" in text:
        raise ValueError(f"odd: {object()!r}")
    return len(text)


class Picky(Filter):
    def score(self, docs):
        return {"length": [odd(text) for text in docs.text.to_pylist()]}

    def judge(self, scores):
        import pyarrow as pa

        return pa.array(["" if length == 1 else None for length in scores["length"]], pa.string())
'''
RECIPE = """
name: t
output: out
plugins: [picky.py]
engine: {{kind: {kind}, workers: 1}}
sources: {{a: {{read: {{text: a.txt}}, steps: [picky]}}}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    def make(kind: str) -> Path:
        (tmp_path / "picky.py").write_text(PLUGIN)
        (tmp_path / "a.jsonl").write_text(
            "".join(f'{{"text": "{text}"}}\n' for text in ("one", "ODD", "LEAVE", "NONE", "x", "two"))
        )
        path = tmp_path / "recipe.yaml"
        path.write_text(RECIPE.format(kind=kind).replace("text: a.txt", "jsonl: a.jsonl"))
        return path

    return make


def _details(path: Path) -> list[tuple[str, str]]:
    """Reasons and details of what is quarantined."""
    return sorted(
        (row["reason"], row["detail"])
        for file in path.glob("out/steps/a/*/data/*.removed.arrow")
        for batch in read_batches(file)
        for row in batch.to_pylist()
        if row["kind"] == "quarantined"
    )


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_a_cause_tells_where_in_the_plugin_it_arose(
    kind: str, recipe: Callable[[str], Path], warm: Warm, tmp_path: Path
) -> None:
    done = warm.call("run", recipe(kind))
    assert done.returncode == 0, done.stderr
    wordless, exited, raised = _details(tmp_path)
    assert wordless == ("MemoryError", "MemoryError: [picky.py:20 score > picky.py:12 odd]")
    assert exited == ("SystemExit", "SystemExit: 3 [picky.py:20 score > picky.py:10 odd]")
    assert raised == ("ValueError", "ValueError: odd: <object object> [picky.py:20 score > picky.py:14 odd]")


def test_an_empty_reason_is_told_as_none(recipe: Callable[[str], Path], warm: Warm, tmp_path: Path) -> None:
    done = warm.call("run", recipe("inline"))
    told = (
        "picky 1",
        *(f"picky.{name} (quarantined) 1" for name in ("MemoryError", "SystemExit", "ValueError")),
    )
    assert f"    {', '.join(told)}\n" in done.stdout
    shown = warm.call("inspect", *sorted(tmp_path.glob("out/steps/a/*/data/*.removed.arrow")))
    assert "(no reason given)" in shown.stdout
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert "removed: (no reason given)" in page


def test_words_hold_no_address_and_no_folder() -> None:
    with pytest.raises(ValueError, match="no <function") as raised:
        raise ValueError(f"no {test_words_hold_no_address_and_no_folder!r}\nand more")
    assert words_of(raised.value) == "ValueError: no <function test_words_hold_no_address_and_no_folder>"
    assert cause_of(raised.value) == words_of(raised.value)  # of neither corpusmill nor a plugin
