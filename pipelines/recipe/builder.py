"""How a section adds its piece of the graph: steps by what they do, and what steps give each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.stage import Deduplicate, Exchange, Filter, Fold, Map, Scatter, Task, Write

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.models import Source

Needs = Mapping[str, str]  # artefact that the stage asks its context for -> step that makes it


def incomparable(stage: Exchange) -> str | None:
    """Why the documents of an exchange cannot be compared with those of earlier runs; None where they can."""
    rule = stage.resolution() if isinstance(stage, Deduplicate) else None
    if not isinstance(stage, Deduplicate) or stage.remembers is None:
        return f"`{stage.name}` has nothing to remember of a document"
    if type(stage).resolve is not Deduplicate.resolve or getattr(rule, "rule", None) == "connected":
        return (
            f"`{stage.name}` removes whole clusters here, and a later document may join two clusters of "
            "earlier runs, which are not changed any more"
        )
    return None


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
    def exchange(
        self, name: str, stage: Exchange, *, against: Sequence[Path] = (), remember: bool = False
    ) -> str:
        """Remove and cut what an exchange over `self.view` finds, which is without it from here on.

        `against`: folders of earlier runs that the documents are compared with as well, and that remember
        what their step of this name saw; `remember`: do so for later runs. Raises CorpusmillError where the
        stage cannot (`incomparable`)."""

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
