"""Options that are URLs: files of stages, and earlier runs that a run is compared with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.run import runner as runner_module
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.objects.current import use_storage
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.object_server import ObjectServer
from tests.pipelines.run.remote_runs import (
    BUCKET,
    Elsewhere,
    Meddling,
    of_recipe,
    run,
    storage,
)

PLUGIN = '''
"""A filter with a list of words."""

from pathlib import Path

import numpy as np
from pydantic import Field

from corpusmill.pipelines.documents import reason_where
from corpusmill.pipelines.stage import Filter


class Refused(Filter):
    """Removes documents that hold a word of a list."""

    words: Path = Field(description="File of words, one a line.")

    def external_files(self):
        return (self.words,)

    def score(self, docs):
        words = self.words.read_text("utf-8").split()
        found = [any(word in text for word in words) for text in docs.text.to_pylist()]
        return {"found": np.array(found, np.int64)}

    def judge(self, scores):
        return reason_where((np.asarray(scores["found"]) > 0, "listed"))
'''
RECIPE = """
name: {name}
seed: 3
plugins: [refused.py]
{storage}
engine: {{kind: inline}}
sources:
  a:
    read: {{jsonl: {{files: '*.jsonl', split_bytes: 65536}}}}
    steps: [{{refused: {{words: '{words}'}}}}]
dedup: {dedup}
"""
ELSEWHERE = ("one", "two")


def write(
    folder: Path, words: str, lines: str = "", *, name: str = "listed", dedup: str = "[exact]", first: int = 0
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "refused.py").write_text(PLUGIN)
    (folder / "words.txt").write_text("amber\nnorth\n")
    for part in range(3):
        texts = [f"text {first + 7 * part + n} {'amber' if n % 5 == 0 else 'light'} {n}" for n in range(20)]
        rows = [json.dumps({"id": f"{name}-{part}-{n}", "text": text}) for n, text in enumerate(texts)]
        (folder / f"{part}.jsonl").write_text("\n".join(rows) + "\n")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(name=name, storage=lines, words=words, dedup=dedup))
    return path


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are done on machines that share the store alone."""
    monkeypatch.setattr(Elsewhere, "machines", [tmp_path / name for name in ELSEWHERE])
    monkeypatch.setattr(runner_module, "make_engine", lambda recipe, log: Elsewhere())


@pytest.mark.usefixtures("machines")
def test_a_file_of_a_stage_may_be_an_object(server: ObjectServer, tmp_path: Path) -> None:
    beside = write(tmp_path / "beside", "words.txt")
    run(beside)
    server.put(BUCKET, "lists/words.txt", b"amber\nnorth\n")
    url = f"s3://{BUCKET}/lists/words.txt"
    recipe = write(tmp_path / "run", url, storage(server, "listed"))
    run(recipe)
    assert but_index(recipe) == but_index(beside)
    assert rows(recipe, "a") == 48
    (copy,) = (tmp_path / ELSEWHERE[0]).rglob("words.txt")  # of the machine that did the only unit
    assert copy.read_bytes() == b"amber\nnorth\n"
    server.put(BUCKET, "lists/words.txt", b"light\n")
    done = run(recipe)
    assert {state.step.name for state in done.steps if state.redone} >= {"a", "dedup.exact.scatter"}
    assert rows(recipe, "a") == 12


def but_index(recipe: Path) -> dict[str, tuple[str, str]]:
    """Versions and contents of steps but the index, whose version follows from where and when files were
    written."""
    return {name: about for name, about in of_recipe(recipe).items() if not name.endswith(".index")}


def rows(recipe: Path, name: str) -> int:
    folder = RunFolder(load_recipe(recipe).output_folder).current_step(name)
    assert folder is not None
    return folder.need_manifest().rows


@pytest.mark.usefixtures("machines")
def test_an_object_that_changes_meanwhile_ends_the_run(server: ObjectServer, tmp_path: Path) -> None:
    server.put(BUCKET, "lists/changing.txt", b"amber\n")
    recipe = write(tmp_path / "run", f"s3://{BUCKET}/lists/changing.txt", storage(server, "changing"))

    class Changing(Meddling):
        def meddle(self) -> None:
            server.put(BUCKET, "lists/changing.txt", b"light\n")

    with pytest.raises(UserError, match=r"lists/changing.txt changed while the run was on; run the same"):
        Runner(load_recipe(recipe), Changing(1)).run()
    run(recipe)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (f"s3://{BUCKET}/lists/none.txt", "there is no such object"),
        (f"s3://{BUCKET}/lists", "an option names one object, no folder and no pattern"),
        ("gs://bucket/words.txt", "gs is not among `storage.schemes`"),
        (f"s3://{BUCKET}/lists/large.txt", "raise `storage.cache_bytes`, which is 67,108,864"),
    ],
)
def test_what_cannot_be_had_is_told_at_its_line(
    server: ObjectServer, tmp_path: Path, words: str, told: str
) -> None:
    server.put(BUCKET, "lists/large.txt", bytes(17 * 2**20))
    lines = storage(server, "at-fault").replace("cache:", "cache_bytes: 67108864, cache:")
    recipe = write(tmp_path / "run", words, lines)
    with pytest.raises(InvalidRecipeError) as raised:
        load_recipe(recipe)
    (line,) = str(raised.value).splitlines()
    assert "recipe.yaml:12:24: sources.a.steps.0.refused.words: " in line
    assert told in line


@pytest.mark.usefixtures("machines")
def test_earlier_runs_may_lie_at_urls(server: ObjectServer, tmp_path: Path) -> None:
    """A month against one before it gives the bytes that it gives in folders."""
    found = {}
    for kind in ("folder", "url"):
        for place, month in enumerate(("may", "june")):
            at_url = kind == "url"
            may = f"s3://{BUCKET}/months/may" if at_url else str(tmp_path / "folder-may" / "runs" / "may")
            against = f"against: [{may}], " if month == "june" else ""
            recipe = write(
                tmp_path / f"{kind}-{month}",
                "words.txt",
                storage(server, f"months/{month}") if at_url else "",
                name=month,
                dedup=f"{{{against}remember: true, steps: [exact]}}",
                first=7 * place,
            )
            use_storage(None)  # as in a process that has reached nothing yet
            load_recipe(recipe, inputs=True)
            run(recipe)
            found[kind, month] = but_index(recipe)
    assert found["url", "may"] == found["folder", "may"]
    assert found["url", "june"] == found["folder", "june"]
    output = RunFolder(load_recipe(recipe).output_folder)
    step = output.current_step("dedup.exact")
    assert step is not None
    (removed,) = step.units.files("removed.arrow")
    rows_of = [row for batch in read_batches(step.file(removed.name)) for row in batch.to_pylist()]
    known = [row["id"] for row in rows_of if row["survivor_source"].endswith("may/a")]
    assert known
    assert "of the earlier run may" in render_story(explain(output, known[0]))
