"""What a stage may know of its run besides documents, and what it says it takes from that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Context:
    """What a stage may know of its run: `seed` is the recipe's; `artefacts` maps an artefact's name to the
    folder of its files."""

    seed: int = 0
    artefacts: Mapping[str, Path] = field(default_factory=dict)

    def artefact(self, name: str, file: str) -> Path:
        """Path of one file of an artefact. Raises KeyError naming those there are."""
        if name not in self.artefacts:
            raise KeyError(f"no artefact {name!r}; there are {', '.join(self.artefacts) or 'none'}")
        return self.artefacts[name] / file


@runtime_checkable
class OfCorpus(Protocol):
    """A fold that is told about how large the corpus is, so that a partial may leave out what the others will
    have enough of."""

    def of_corpus(self, documents: int, size: int) -> Self:
        """The stage for a view of so many documents and bytes of text, masked or not, each rounded down to a
        power of two. Partials of a unit are made again where these change."""


@dataclass(frozen=True)
class Marks:
    """What a stage takes from some of its artefacts: of each document a mark, and nothing else.

    `of` gives the marks of n documents, an array of n or of k x n, from the `artefacts` in its context and
    from these `columns`; where it is `addressed`, from the documents' unit and rows (uint32[n]) besides. A
    unit whose documents have the marks that they had before comes out as before, whatever else the artefacts
    hold by now. A fold's `combine` takes nothing from them. Of a fold that is `addressed` documents whose
    mark is 0 leave nothing in the partial.
    """

    artefacts: tuple[str, ...]
    columns: tuple[str, ...]
    of: Callable[..., npt.NDArray[Any]]
    addressed: bool = False
