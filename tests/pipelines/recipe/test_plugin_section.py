"""Sections of plugins that are wrong: a line that names the plugin's file, the cause and the cure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.contract.plugins import clear_plugins
from corpusmill.pipelines.recipe.json_schema import recipe_schema
from corpusmill.pipelines.recipe.loader import load_plugins, load_recipe
from corpusmill.pipelines.recipe.section import Section
from corpusmill.pipelines.run.graph import build_graph

PLUGIN = '''
from pathlib import Path
from pydantic import Field, field_validator
from corpusmill.pipelines.contract.stage import Fold
from corpusmill.pipelines.recipe.builder import View
from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.section import Section

class Count(Fold):
    """Count documents."""
    def map(self, batches): ...
    def combine(self, parts): ...
    def finish(self, part, folder): ...

class Lengths(Section):
    """Count documents by length."""
    width: int = Field(1, description="Bytes of a bar.")
    def stages(self):
        return [((self.name,), Count())]
    def graph(self, builder):
        builder.fold(self.name, Count())

class Lengths(Lengths):
    """Count documents by length."""
    name = "lengths"
    step_roots = ("lengths",)
    BODY

SECTION = Lengths
'''
LINE = PLUGIN[: PLUGIN.index("BODY")].count("\n") + 1
CLASS = "@classmethod\n    def "


@pytest.fixture(autouse=True)
def _no_plugins_stay() -> Iterator[None]:
    yield
    clear_plugins()


def write(folder: Path, body: str, **others: str) -> Path:
    """A recipe with the section, whose class has `body` besides; returns its path."""
    (folder / "lengths.py").write_text(PLUGIN.replace("BODY", body), "utf-8")
    for name, text in others.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    (folder / "a.jsonl").write_text(json.dumps({"text": "a text"}) + "\n", "utf-8")
    names = ", ".join(f"{name}.py" for name in ("lengths", *others))
    path = folder / "recipe.yaml"
    sources = "sources: {web: {read: {jsonl: a.jsonl}}}"
    path.write_text(f"name: small\nplugins: [{names}]\n{sources}\nlengths: {{width: 5}}\n", "utf-8")
    return path


def refused(path: Path) -> str:
    """What is said of a recipe that cannot be: on loading, or else of its graph, estimate or schema."""

    def look() -> None:
        recipe = load_recipe(path, inputs=True)
        build_graph(recipe)
        recipe.sections["lengths"].cut(1)
        recipe_schema()

    with pytest.raises(RecipeError) as caught:
        look()
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('name = "a.b"', r"section a\.b: `name` must be small letters.*rename it"),
        ("name = 3", r"section 3: `name` must be small letters"),
        ('name = ""', r"`name` must be small letters"),
        ('after = "dedup"', r"`after` must be a tuple of texts, .* but is 'dedup'; correct it"),
        ("before = None", r"`before` must be a tuple of texts"),
        ('step_roots = "lengths"', r"`step_roots` must be a tuple of texts"),
        ('step_roots = ("../x",)', r"`step_roots` holds '\.\./x'.*correct it"),
        ("example = 3", r"`example` must be a text"),
        ('needs = ("pack",)', r"`needs` must say why of each section"),
        (
            'needs = {"tokeniser": "x"}',
            r"`needs` has `tokeniser`, which is no section; did you mean `tokenizer`",
        ),
        ('after = ("lengths",)', r"the section lengths asks to stand before itself; correct `after`"),
        (
            'after = ("pack",)\n    before = ("mixture",)',
            r"the sections (?=.*lengths)(?=.*pack)(?=.*mixture)[a-z, ]+ ask .* in a circle; correct",
        ),
    ],
)
def test_what_a_section_says_of_itself(tmp_path: Path, body: str, said: str) -> None:
    assert re.match(rf"plugin lengths\.py: .*{said}", refused(write(tmp_path, body)))


SIGNATURES = {
    "check": f"{CLASS}check(cls, data, recipe):",
    "read": f"{CLASS}read(cls, data, reading):",
    "beside": f"{CLASS}beside(cls, made, reading):",
    "describe": f"{CLASS}describe(cls, schema):",
    "asks": "def asks(self):",
    "stages": "def stages(self):",
    "sources": "def sources(self):",
    "input_problems": "def input_problems(self, found):",
    "cut": "def cut(self, rounds):",
    "graph": "def graph(self, builder):",
}


@pytest.mark.parametrize("method", SIGNATURES)
def test_what_a_method_raises_has_its_line(tmp_path: Path, method: str) -> None:
    body = SIGNATURES[method] + "\n        raise KeyError('oh')"
    line = LINE + body.count("\n")
    said = f"plugin lengths.py:{line}: section lengths: `{method}` fails: KeyError: 'oh'; correct it"
    assert refused(write(tmp_path, body)) == said


@pytest.mark.parametrize("method", SIGNATURES)
@pytest.mark.parametrize("value", ["3", "[1]", "{'a': 1}"])
def test_what_a_method_gives_has_a_form(tmp_path: Path, method: str, value: str) -> None:
    if method == "describe" and value[0] == "{":
        value = "()"
    said = refused(write(tmp_path, f"{SIGNATURES[method]}\n        return {value}"))
    place = rf"plugin lengths\.py(:{LINE})?: section lengths: `{method}` "
    assert re.match(rf"{place}(must give .* but gives .*|fails: TypeError: .*); correct it$", said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            'builder.fold("other", Count())',
            r"names a step other\.partials, which is not one of its `step_roots`",
        ),
        (
            'builder.fold("lengths./../../x", Count())',
            r"names a step 'lengths\./\.\./\.\./x\.partials'; write let",
        ),
        ('builder.fold("lengths.a b", Count())', r"names a step 'lengths\.a b\.partials'; write letters"),
        (
            'builder.fold("lengths", Count())\n        builder.fold("lengths", Count())',
            r"adds a step lengths\.partials, which there is already; rename one",
        ),
        (
            'builder.fold("lengths", None)',
            r"stage of step lengths must be derived from Fold; it is a NoneType",
        ),
        ('builder.mask("lengths", Count())', r"must be derived from Filter; it is a Count"),
        ('builder.task("lengths", Count())', r"must be derived from Task; it is a Count"),
        ('builder.exchange("lengths", Count())', r"must be derived from Exchange; it is a Count"),
        (
            'builder.fold("lengths", Count(), needs={"a": "wbe"})',
            r"step lengths\.partials needs a step 'wbe'; before it, did you mean `web`",
        ),
        ('builder.fold("lengths", Count(), View(("b",)))', r"step lengths\.partials needs a step 'b'"),
    ],
)
def test_steps_that_cannot_be(tmp_path: Path, body: str, said: str) -> None:
    path = write(tmp_path, f"def graph(self, builder):\n        {body}")
    line = LINE + 1 + body.count("\n")
    assert re.match(rf"plugin lengths\.py:{line}: section lengths.*{said}", refused(path))
    shown = CliRunner().invoke(app, ["validate", str(path)])
    assert isinstance(shown.exception, UserError)  # said by `validate` already, before anything is run


def test_a_validator_that_raises_what_pydantic_does_not_expect(tmp_path: Path) -> None:
    body = '@field_validator("width")\n    @classmethod\n    def wide(cls, value):\n        return {}[value]'
    said = refused(write(tmp_path, body))
    assert (
        said == f"plugin lengths.py:{LINE + 3}: Lengths, made from its keys, fails: KeyError: 5; correct it"
    )


def test_asking_a_section_that_is_none_or_for_what_another_asked(tmp_path: Path) -> None:
    asks = "def asks(self):\n        return {NAME: {'model': 0.1}}"
    said = refused(write(tmp_path, asks.replace("NAME", "'heldout'")))
    assert said.startswith(
        "recipe.yaml:4:1: lengths: asks 'heldout', which is no section; did you mean `held_out`?"
    )
    path = write(
        tmp_path, asks.replace("NAME", "'held_out'"), widths=_other(asks.replace("NAME", "'held_out'"))
    )
    path.write_text(path.read_text("utf-8") + "widths: {}\n", "utf-8")
    assert (
        refused(path)
        == "the sections lengths and widths both ask held_out for model; leave one of the two out"
    )
    said = refused(write(tmp_path, asks.replace("NAME", "'mixture'")))
    assert "mixture: is asked for, but by no section for `shard_tokens`; add `pack: " in said


def test_two_plugins_in_a_circle_are_both_named(tmp_path: Path) -> None:
    path = write(tmp_path, 'after = ("widths",)', widths=_other('after = ("lengths",)'))
    assert refused(path).startswith("plugin lengths.py: plugin widths.py: the sections ")


def _other(body: str) -> str:
    text = PLUGIN.replace("lengths", "widths").replace("Lengths", "Widths").replace("Count(", "Tally(")
    return text.replace("BODY", body)


def test_the_schema_knows_the_sections_of_a_recipe_at_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "example = '{width: 3}'")
    path.write_text(path.read_text("utf-8") + "lenghts: {}\n", "utf-8")
    shown = CliRunner().invoke(app, ["schema", str(path)])
    assert shown.exit_code == 0
    assert "lengths" in json.loads(shown.stdout)["properties"]
    clear_plugins()
    path.write_text("plugins: lengths.py\n", "utf-8")
    with pytest.raises(RecipeError, match=r"recipe\.yaml:1:\d+: plugins: expected a list of files"):
        load_plugins(path)


def test_a_section_is_left_as_it_is_where_it_is_right(tmp_path: Path) -> None:
    path = write(tmp_path, "example = '{width: 3}'")
    recipe = load_recipe(path)
    assert isinstance(recipe.sections["lengths"], Section)
    assert [step.name for step in build_graph(recipe)][-1] == "lengths"
    assert load_recipe(path).sections["lengths"] == recipe.sections["lengths"]
