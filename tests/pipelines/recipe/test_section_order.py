"""Sections say where they stand themselves, and what they need and give."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.documents import Columns, Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.recipe.builder import Builder
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.recipe.section import Placed, Reading, Section
from corpusmill.pipelines.recipe.sections import in_order, section_classes, section_that_gives
from corpusmill.pipelines.run.graph import GraphBuilder

PAGE = Path(__file__).parents[3] / "docs" / "add_a_section.md"


class Bare(Section):
    """A section without anything."""

    def stages(self) -> list[Placed]:
        return []

    def graph(self, builder: Builder) -> None:
        builder.need("a song")


class Early(Bare):
    before: ClassVar[tuple[str, ...]] = ("bare", "not_there")


class Late(Bare):
    after: ClassVar[tuple[str, ...]] = ("bare", "not_there")


class Asking(Bare):
    def asks(self) -> dict[str, dict[str, int]]:
        return {"bare": {"verses": 3}}


class AskingToo(Asking):
    pass


def order(*sections: type[Section]) -> list[str]:
    return [section.name for section in in_order({section.name: section for section in sections})]


def test_after_and_before_decide_and_names_do_the_rest() -> None:
    assert order(Late, Bare, Early) == ["early", "bare", "late"]
    assert order(Late, Early) == ["early", "late"]
    assert order(AskingToo, Asking) == ["asking", "asking_too"]


def test_a_circle_is_refused() -> None:
    class Round(Bare):
        after: ClassVar[tuple[str, ...]] = ("late",)
        before: ClassVar[tuple[str, ...]] = ("bare",)

    with pytest.raises(RecipeError, match="bare, late, round"):
        order(Late, Bare, Round)


def test_every_section_of_the_rooms_stands_after_what_it_names() -> None:
    names = [section.name for section in section_classes()]
    assert len(set(names)) == len(names)
    for section in section_classes():
        at = names.index(section.name)
        assert set(section.after) | set(section.needs) <= set(names[:at]), section.name


def test_what_sections_ask_of_one_is_put_together() -> None:
    reading = Reading({}, [], {"asking": Asking(), "bare": Bare()})
    assert reading.asked("bare") == {"verses": 3}
    assert reading.asked("asking") == {}
    reading.sections["asking_too"] = AskingToo()
    with pytest.raises(
        RecipeError, match="sections asking and asking_too both ask bare for verses; leave one"
    ):
        reading.asked("bare")
    assert reading.stage_of("bare", Filter) is None
    assert reading.stage_of("not_there", Filter) is None


@pytest.mark.parametrize("section", [one for one in section_classes() if one.gives])
def test_a_need_that_nothing_fulfils_names_who_would(section: type[Section]) -> None:
    class Needy(Bare):
        def graph(self, builder: Builder) -> None:
            builder.need(section.gives[0])

    assert section_that_gives(section.gives[0]) is section
    with pytest.raises(RecipeError, match=f"`needy` needs .*`{section.name}"):
        GraphBuilder([]).add_section(Needy())


def test_a_need_that_no_section_knows() -> None:
    assert section_that_gives("a song") is None
    with pytest.raises(RecipeError, match="`bare` needs what is called 'a song', which no section gives"):
        GraphBuilder([]).add_section(Bare())


def test_steps_are_named_after_their_section() -> None:
    class Stray(Bare):
        def graph(self, builder: Builder) -> None:
            builder.mask("other.step", _JUDGE)

    class Twice(Bare):
        def graph(self, builder: Builder) -> None:
            builder.mask("twice", _JUDGE)
            builder.mask("twice", _JUDGE)

    with pytest.raises(CorpusmillError, match=r"names a step other\.step"):
        GraphBuilder([]).add_section(Stray())
    with pytest.raises(CorpusmillError, match="there is already"):
        GraphBuilder([]).add_section(Twice())


WHOLE = """
sources: {a: {read: {lines: a}}}
dedup: [exact]
decontaminate: {against: {lines: b}}
recall_loop: {seed: {lines: g}}
perplexity: {trusted: {lines: g}}
site_cap: {documents: 5}
learned_quality: {positives: {lines: g}, negatives: {lines: n}}
tokenizer: {train: {}}
mixture: {weights: {a: 1}}
pack: {sequence_length: 512}
train: {steps: 3}
long_context: {phases: [{sequence_length: 1024}]}
"""


def test_sections_give_what_they_say_and_name_their_steps(load: Callable[..., Recipe]) -> None:
    recipe = load(WHOLE)
    assert [section.name for section in section_classes()] == list(recipe.sections)
    builder = GraphBuilder(recipe.sources)
    for section in recipe.sections.values():
        before = len(builder.steps)
        builder.add_section(section)
        added = builder.steps[before:]
        assert {step.gives for step in added} - {""} == set(section.gives), section.name
        roots = {step.name.split(".")[0] for step in added}
        assert roots == set(section.step_roots), section.name
        stages = {stage.name for step in added for stage in step.stages}
        assert stages == {stage.name for _, stage in section.stages()}, section.name


class _Judge(Filter):
    """Keeps every document."""

    def score(self, docs: Documents) -> Columns:
        return {"bytes": pa.array(docs.sizes())}

    def judge(self, scores: Columns) -> pa.Array:
        return pa.nulls(len(scores["bytes"]), pa.string())


_JUDGE = _Judge()


def test_a_plugin_that_does_not_name_its_section_is_told(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    path = tmp_path / "lengths.py"
    path.write_text(code.replace("SECTION = Lengths\n", ""), "utf-8")
    try:
        plugins.use_plugins([path])
        with pytest.raises(RecipeError, match=r"lengths\.py: derives Lengths from Section; add `SECTION ="):
            section_classes()
    finally:
        plugins.clear_plugins()
