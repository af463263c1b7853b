"""A folder with a plugin of small stages, so that recipes can be tested without the rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.models import Recipe
from tests.pipelines.recipe.in_recipe import without_column

STAGES = """
from __future__ import annotations
from pathlib import Path
from typing import Literal
from pydantic import BaseModel, ConfigDict, Field, model_validator
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.contract.stage import Deduplicate, Edit, Filter, Regroup

class Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    rate: float = Field(0.1, ge=0, le=1)
    mode: Literal["psm", "spm"] = "psm"

class Judge(Filter):
    at_least: int = Field(3, ge=1, le=10**12)
    share: float | None = Field(None, ge=0)
    budget: int | None = None
    strict: bool = False
    keep: list[str] | None = None
    fim: Frame = Frame()
    weights: dict[str, float] = {}
    where: Path | None = None
    limit: int | Literal["all"] = "all"
    @model_validator(mode="after")
    def _agree(self):
        if self.budget == 13:
            raise ValueError("a budget of 13 is unlucky; take 14")
        return self
    def score(self, docs): return {}
    def judge(self, scores): raise NotImplementedError

class NeedsScore(Judge):
    consumes = ("text", "judge.words")

class Need(Filter):
    needed: int
    def score(self, docs): return {}
    def judge(self, scores): raise NotImplementedError

class Lines(Reader):
    def expand(self, path): return sorted(path.rglob("*")) if path.is_dir() else [path]
    def index(self, path): return []
    def read(self, path, name, split, label): return iter(())

class Pages(Lines):
    produces = ("raw",)

class Strip(Edit):
    consumes = ("raw",)
    produces = ("text",)
    def edit(self, docs): return docs

class StripToo(Strip):
    pass

class Together(Regroup):
    def emit(self, docs, unit, rows): raise NotImplementedError
    def reduce(self, rows): raise NotImplementedError

class Same(Deduplicate):
    priority: list[str] = []
    sources: list[str] = []
    def emit(self, docs, unit, rows): raise NotImplementedError
    def reduce(self, rows): raise NotImplementedError
"""

HEAD = "name: t\nplugins: [fake_stages.py]\n"
BODY = "sources:\n  a: {read: {lines: a/*.txt}, steps: [judge]}\n"


@pytest.fixture(autouse=True)
def _no_plugins() -> Iterator[None]:
    yield
    plugins.clear_plugins()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fake_stages.py").write_text(STAGES, "utf-8")
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Callable[..., Recipe]:
    """Load a recipe from its text; the plugin and a name come by themselves."""

    def load(text: str = BODY, *overrides: str, head: str = HEAD) -> Recipe:
        path = folder / "recipe.yaml"
        path.write_text(head + dedent(text), "utf-8")
        return load_recipe(path, overrides)

    return load


@pytest.fixture
def faults(load: Callable[..., Recipe], folder: Path) -> Callable[..., list[str]]:
    """The lines of the error that a recipe's text gives, without the folder and the columns."""

    def faults(text: str = BODY, *overrides: str, head: str = HEAD) -> list[str]:
        with pytest.raises(InvalidRecipeError) as caught:
            load(text, *overrides, head=head)
        return [without_column(line.replace(f"{folder}/", "")) for line in caught.value.lines]

    return faults
