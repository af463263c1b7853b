"""Special tokens that a loaded tokenizer must name for the sections behind it, looked for before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.models import Recipe


@runtime_checkable
class LoadsTokens(Protocol):
    """A stage that brings a tokenizer of the user's."""

    def lacking(self, needed: Mapping[str, str]) -> str | None:
        """What is wrong with it for a run that needs these roles (role -> how to do without), or None."""


@runtime_checkable
class NeedsTokens(Protocol):
    """A stage that writes special tokens."""

    def roles_needed(self) -> dict[str, str]:
        """Roles, and how to do without each."""


def special_token_problems(recipe: Recipe) -> Iterator[Problem]:
    """A problem where the tokenizer that is loaded cannot be read or lacks what `pack` needs."""
    tokenizer: object = recipe.tokenizer
    pack: object = recipe.pack
    if isinstance(tokenizer, LoadsTokens):
        wrong = tokenizer.lacking(pack.roles_needed() if isinstance(pack, NeedsTokens) else {})
        if wrong is not None:
            yield Problem(("tokenizer", "load"), wrong)
