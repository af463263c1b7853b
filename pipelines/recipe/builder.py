"""How a section adds its piece of the graph: steps by what they do, and what steps give each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.stage import Exchange, Filter, Fold, Map, Scatter, Task, Write

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.models import Source

Needs = Mapping[str, str]  # artefact that the stage asks its context for -> step that makes it


@dataclass(frozen=True)
class View:
    """Datasets read one after the other with masks applied: what a later step sees as its documents."""

    datasets: tuple[str, ...]
    masks: tuple[str, ...] = ()

    def masked_by(self, step: str) -> View:
        return View(self.datasets, (*self.masks, step))


class Builder(ABC):
    """The graph as it grows, section after section.

    Every method that adds a step takes its name, which begins with one of the section's `step_roots`, and the
    word (`contract.given`, or one of the section's own) of what it `gives`; it returns the name.
    """

    view: View
    """The documents of the recipe's sources as they stand after the sections before."""

    @abstractmethod
    def read(self, source: Source) -> View:
        """Read a source beside those of the recipe, and take it through its steps."""

    @abstractmethod
    def fold(
        self, name: str, stage: Fold, view: View | None = None, *, needs: Needs | None = None, gives: str = ""
    ) -> str:
        """Condense the documents of a view (unless given, `self.view`) into an artefact."""

    @abstractmethod
    def mask(self, name: str, stage: Filter, *, needs: Needs | None = None, gives: str = "") -> str:
        """Judge every document of `self.view`, which is without those removed from here on."""

    @abstractmethod
    def exchange(self, name: str, stage: Exchange) -> str:
        """Remove and cut what an exchange over `self.view` finds, which is without it from here on."""

    @abstractmethod
    def encode(
        self, name: str, stage: Map, *, needs: Needs | None = None, after: tuple[str, ...] = (), gives: str
    ) -> str:
        """Write the documents of `self.view` as tokens. `after`: steps to wait for, of which nothing is
        read."""

    @abstractmethod
    def scatter(
        self, name: str, stage: Scatter, view: View, *, needs: Needs | None = None, gives: str
    ) -> str:
        """Send rows of a view to partitions."""

    @abstractmethod
    def write(
        self, name: str, stage: Write, rows: str, *, needs: Needs | None = None, gives: str = ""
    ) -> str:
        """Write final files, one unit a partition of the step `rows`, which scattered them."""

    @abstractmethod
    def task(self, name: str, stage: Task, *, needs: Needs | None = None, gives: str = "") -> str:
        """Work on finished steps as a whole."""

    @abstractmethod
    def offered(self, what: str) -> str | None:
        """The last step so far that gives it, or None."""

    @abstractmethod
    def need(self, what: str) -> str:
        """The last step so far that gives it. Raises RecipeError, naming the section that would give it."""
