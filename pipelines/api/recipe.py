"""A recipe in a program: load it or write it as a mapping, check it, plan it, run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from corpusmill.pipelines.api.run import Run
    from corpusmill.pipelines.recipe.models import Recipe as Loaded
    from corpusmill.pipelines.run.plan import Plan
    from corpusmill.pipelines.run.runner import RunListener


class Recipe:
    """`Recipe.load("recipe.yaml")`, or `Recipe({"name": ..., "sources": ...})` of a mapping.

    `folder`: what paths of a mapping are relative to, by default the current one. Making one reads
    nothing but its plugins; it raises RecipeError with all faults, a line each, which names file and line or,
    of a mapping, the path within it.
    """

    def __init__(self, recipe: Mapping[str, Any], *, folder: Path | str = ".") -> None:
        self._given: dict[str, Any] | None = deepcopy(dict(recipe))
        self._path = Path(folder).absolute() / "recipe.yaml"
        self._overrides: tuple[str, ...] = ()
        self._loaded = self._load(inputs=False)

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] = ()) -> Self:
        """The recipe of a YAML file. `overrides`: `key=value` as of `--set`."""
        made = cls.__new__(cls)
        made._given, made._path, made._overrides = None, Path(path), tuple(overrides)
        made._loaded = made._load(inputs=False)
        return made

    def with_values(self, *overrides: str) -> Self:
        """The same with other values: `recipe.with_values("mixture.tokens=8M")`."""
        made = type(self).__new__(type(self))
        made._given, made._path = self._given, self._path
        made._overrides = (*self._overrides, *overrides)
        made._loaded = made._load(inputs=False)
        return made

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self._loaded.name

    @property
    def sources(self) -> list[str]:
        """Names of its sources."""
        return [source.name for source in self._loaded.sources]

    @property
    def output(self) -> Path:
        """The folder of its run."""
        return self._loaded.output_folder

    def validate(self) -> list[str]:
        """Check it, and that its files are there and readable; returns warnings. Raises RecipeError."""
        from corpusmill.pipelines.recipe.remarks import remarks
        from corpusmill.pipelines.run.graph import build_graph

        loaded = self._load(inputs=True)
        build_graph(loaded)
        return list(remarks(loaded))

    def plan(self) -> Plan:
        """What would run, step by step, and why. Changes nothing."""
        from corpusmill.pipelines.run.plan import make_plan

        return make_plan(self._load(inputs=True))

    def run(
        self,
        *,
        until: Sequence[str] | None = None,
        listener: RunListener | None = None,
        repair: bool = False,
    ) -> Run:
        """Run it, or go on where it stopped; returns the run. `until`: steps to stop after. `repair`: verify
        every file of the run first, and make again what is damaged.

        Engines that start processes import the program that calls this: guard it by
        `if __name__ == "__main__":`. Raises what `corpusmill run` ends with.
        """
        from corpusmill.pipelines.api.run import Run
        from corpusmill.pipelines.contract.errors import PROGRAM
        from corpusmill.pipelines.report.build import build_report
        from corpusmill.pipelines.run.runner import run_recipe

        command = None if self._given is None else PROGRAM
        steps = list(until) if until is not None else None
        result = run_recipe(self._load(inputs=True), listener, steps, repair=repair, command=command)
        build_report(result.folder)
        return Run(result.folder)

    def _load(self, *, inputs: bool) -> Loaded:
        from corpusmill.pipelines.recipe.loader import load_recipe

        return load_recipe(self._path, self._overrides, inputs=inputs, given=self._given)

    def __repr__(self) -> str:
        return f"Recipe({self.name!r}, sources={self.sources}, output={str(self.output)!r})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(source.name)}</td><td>{escape(source.reader.name)}</td>"
            f"<td>{escape(', '.join(step.name for step in source.steps))}</td></tr>"
            for source in self._loaded.sources
        )
        sections = escape(", ".join(self._loaded.sections))
        return (
            f"<b>{escape(self.name)}</b> to <code>{escape(str(self.output))}</code><br>{sections}"
            f"<table><tr><th>source</th><th>reader</th><th>steps</th></tr>{rows}</table>"
        )
