"""A section, a reader, a stage and an export from outside of the tree: none of its files knows of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.plugins import clear_plugins
from corpusmill.pipelines.contract.rooms import ROOMS
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.recipe.json_schema import recipe_schema
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.run.estimate import estimate_run
from corpusmill.pipelines.run.graph import build_graph
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "add_a_section.md"

STANZAS = '''
from corpusmill.pipelines.contract.documents import reason_where
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.sources.reader import Batch, Reader, Split


class Stanzas(Reader):
    """Poems in a text file, an empty line between two."""

    def index(self, path):
        size = path.stat().st_size
        return [Split(0, size, size)]

    def read(self, path, name, split, label):
        from corpusmill.pipelines.sources.assembly.batches import Collector

        collector = Collector(label)
        for number, text in enumerate(path.read_text("utf-8").split("\\n\\n")):
            collector.add(f"{name}:{number}", text.encode(), text=text.strip(), path=name, meta={})
        yield collector.take()


class Rhymed(Filter):
    """Keep poems whose lines end alike."""

    letters: int = 3

    def score(self, docs):
        import pyarrow as pa

        ends = [{line[-self.letters :] for line in text.splitlines()} for text in docs.text.to_pylist()]
        return {"ends": pa.array([len(found) for found in ends], pa.int64())}

    def judge(self, scores):
        import pyarrow.compute as pc

        return reason_where((pc.greater(scores["ends"], 1), "does_not_rhyme"))
'''

CENSOR = '''
import json

from pydantic import Field

from corpusmill.pipelines.contract.stage import Filter, Fold
from corpusmill.pipelines.recipe.section import Section


class CountWords(Fold):
    """Words of all poems, by how many poems have them."""

    def map(self, batches):
        import pyarrow as pa

        words = [word for docs in batches for text in docs.text.to_pylist() for word in set(text.split())]
        return pa.table({"word": pa.array(words, pa.string())})

    def combine(self, parts):
        import pyarrow as pa

        return pa.concat_tables(parts)

    def finish(self, part, folder):
        words = part.column("word").to_pylist()
        counts = {word: words.count(word) for word in sorted(set(words))}
        (folder / "words.json").write_text(json.dumps(counts))
        return {"words": len(counts)}


class Worn(Filter):
    """Remove poems that have a word which very many have."""

    artefacts = ("words",)
    most: int = 2
    _worn: set = set()

    def prepare(self, context):
        ready = self.model_copy()
        counts = json.loads(context.artefact("words", "words.json").read_text())
        ready._worn = {word for word, count in counts.items() if count > self.most}
        return ready

    def score(self, docs):
        import pyarrow as pa

        found = [len(self._worn & set(text.split())) for text in docs.text.to_pylist()]
        return {"worn": pa.array(found, pa.int64())}

    def judge(self, scores):
        import pyarrow.compute as pc

        from corpusmill.pipelines.contract.documents import reason_where

        return reason_where((pc.greater(scores["worn"], 0), "worn_word"))


class Censor(Section):
    """Remove what too many say."""

    after = ("dedup",)
    before = ("decontaminate", "held_out")
    example = "{most: 2}"
    gives = ("words of poems",)

    most: int = Field(2, ge=1, description="Poems that may have a word.")

    @classmethod
    def check(cls, data, recipe):
        from corpusmill.pipelines.recipe.messages import Problem

        if isinstance(data, dict) and data.get("most") == len(recipe["sources"]) + 12:
            yield Problem((cls.name, "most"), "is unlucky; take one more")

    def stages(self):
        return [(None, CountWords()), ((self.name,), Worn(most=self.most))]

    def graph(self, builder):
        (_, count), (_, judge) = self.stages()
        words = builder.fold("censor.words", count, gives="words of poems")
        builder.mask("censor", judge, needs={"words": words})


SECTION = Censor
'''

ANTHOLOGY = """
from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.inspection.kept_documents import kept_documents, kept_record


def write(what, out):
    texts = [text for _, _, docs in kept_documents(kept_record(what)) for text in docs.text.to_pylist()]
    out.write_text("\\n***\\n".join(texts), "utf-8")
    return {"poems": len(texts)}


EXPORT = Export("documents", write)
"""

RECIPE = """
name: verses
seed: 3
plugins: [plugins/stanzas.py, plugins/censor.py]
engine: {kind: process, workers: 1}
sources:
  poems:
    read: {stanzas: poems.txt}
    steps: [rhymed: {letters: 2}]
dedup: [exact]
censor: {most: 2}
"""

POEMS = [
    "a cold light\na long night",
    "the hen\na pen",
    "no rhyme\nat all",
    "one night\none light",
    "some sand\nsome land",
    "one night\none light",
    "a mild spring\na wild thing",
]


@pytest.fixture(autouse=True)
def _no_plugins_left() -> Iterator[None]:
    yield
    clear_plugins()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with plugins, a recipe and its input."""
    (tmp_path / "plugins").mkdir()
    for name, text in (("stanzas", STANZAS), ("censor", CENSOR), ("anthology", ANTHOLOGY)):
        (tmp_path / "plugins" / f"{name}.py").write_text(text, "utf-8")
    (tmp_path / "poems.txt").write_text("\n\n".join(POEMS), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    return tmp_path


def tree() -> dict[str, str]:
    """Every source file of the rooms with the hash of its bytes."""
    files = (
        file
        for room in ROOMS
        for file in (ROOT / room).rglob("*")
        if file.suffix in (".py", ".json", ".html")
    )
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_run_with_a_section_reader_stage_and_export_of_ones_own(folder: Path) -> None:
    before = tree()
    done = CliRunner().invoke(app, ["run", str(folder / "recipe.yaml"), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    run = folder / "runs" / "verses"
    found = json.loads(done.stdout)
    assert found["sources"]["poems"]["read"] == len(POEMS)
    assert found["sources"]["poems"]["removed"] == {
        "rhymed.does_not_rhyme": 1, "exact.exact_duplicate": 1, "worn.worn_word": 3,
    }  # fmt: skip
    out = folder / "anthology.txt"
    command = [
        "export",
        str(run),
        str(out),
        "--to",
        "anthology",
        "--plugin",
        str(folder / "plugins" / "anthology.py"),
    ]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert sorted(out.read_text("utf-8").split("\n***\n")) == sorted([POEMS[3], POEMS[4]])
    assert tree() == before


def test_its_steps_are_looked_at_like_all_others(folder: Path) -> None:
    recipe = load_recipe(folder / "recipe.yaml")
    names = [step.name for step in build_graph(recipe)]
    assert names[names.index("dedup.exact") + 1 :] == ["censor.words.partials", "censor.words.combine",
                                                       "censor.words", "censor"]  # fmt: skip
    run_recipe(recipe)
    clear_plugins()  # what looks at a run needs none of its code
    figures = gather(RunFolder(recipe.output_folder))
    assert figures.head.complete
    assert figures.ledger.balanced
    assert [row.stage for row in figures.funnel["poems"]] == ["read", "rhymed", "exact", "worn"]
    lost = [one.id for one in figures.removed_samples if one.reason == "worn_word"]
    assert len(lost) == 3
    story = encode(explain(RunFolder(recipe.output_folder), lost[0]))
    (event,) = (one for one in story["instances"][0]["events"] if one["step"] == "censor")
    assert (event["stage"], event["verdict"], event["reason"]) == ("worn", "removed", "worn_word")


def test_an_estimate_runs_it(folder: Path) -> None:
    estimate = estimate_run(load_recipe(folder / "recipe.yaml"))
    assert "censor" in {row.name for row in estimate.steps}


def test_its_faults_are_told_with_their_place(folder: Path) -> None:
    path = folder / "recipe.yaml"

    def lines(old: str, new: str) -> list[str]:
        path.write_text(RECIPE.replace(old, new), "utf-8")
        with pytest.raises(InvalidRecipeError) as caught:
            load_recipe(path)
        return [line.removeprefix(f"{path}:") for line in caught.value.lines]

    unknown = "censor.moost: unknown key; did you mean `most`? valid: most"
    assert lines("most: 2", "moost: 2") == [f"11:10: {unknown}"]
    assert lines("most: 2", "most: 0") == ["11:10: censor.most: must be at least 1, got 0"]
    assert lines("most: 2", "most: 13") == ["11:10: censor.most: is unlucky; take one more"]
    empty = "censor: is empty; write `censor: {most: 2}`, or take the line out"
    assert lines("{most: 2}", "") == [f"11:1: {empty}"]
    (line,) = lines("censor:", "censer:")
    assert "unknown key; did you mean `censor`?" in line
    (line,) = lines("  poems:", "  censor:")
    assert "`censor` is the name of a step of its own" in line
    assert "censor" not in recipe_schema_without_plugins()["properties"]


def recipe_schema_without_plugins() -> dict[str, dict[str, object]]:
    clear_plugins()
    return recipe_schema()


def test_editors_know_it_with_its_plugin(folder: Path) -> None:
    load_recipe(folder / "recipe.yaml")
    schema = recipe_schema()
    assert schema["properties"]["censor"]["description"] == "Remove what too many say."
    assert "most" in schema["definitions"]["section.censor"]["properties"]


def test_a_section_has_a_name_of_its_own(folder: Path) -> None:
    plugin = folder / "plugins" / "censor.py"
    for name in ("dedup", "sources", "seed"):
        plugin.write_text(
            CENSOR.replace("class Censor(Section):", f"class Censor(Section):\n    name = {name!r}")
        )
        with pytest.raises(RecipeError, match=f"recipes have a key `{name}` already"):
            load_recipe(folder / "recipe.yaml")
    plugin.write_text(CENSOR.replace("SECTION = Censor", "SECTION = 3"), "utf-8")
    with pytest.raises(RecipeError, match=r"censor\.py: SECTION must be a class derived from Section"):
        load_recipe(folder / "recipe.yaml")


def test_the_section_of_the_page_runs(folder: Path) -> None:
    page = PAGE.read_text("utf-8")
    (code,) = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    (recipe,) = [block.split("```")[0] for block in page.split("```yaml\n")[1:]]
    (folder / "lengths.py").write_text(code, "utf-8")
    (folder / "code").mkdir()
    texts = ["x = 1\n" * n for n in (100, 150, 400, 400)]
    records = [{"text": text, "path": f"{n}.py"} for n, text in enumerate(texts)]
    (folder / "code" / "a.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    path = folder / "measured.yaml"
    path.write_text(recipe.replace("steps: [code_quality]", "steps: []"), "utf-8")
    result = run_recipe(load_recipe(path, ["engine.kind=inline"]))
    step = RunFolder(result.folder.path).current_step("lengths")
    assert step is not None
    assert json.loads(step.file("lengths.json").read_text()) == {"500": 2, "2000": 1}
    path.write_text(dedent(recipe).replace("width", "widht"), "utf-8")
    with pytest.raises(InvalidRecipeError, match="did you mean `width`"):
        load_recipe(path)
