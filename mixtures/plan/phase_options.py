"""What a recipe says of one phase of a mixture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Self

from pydantic import Field, model_validator

from corpusmill.mixtures.plan.groups import Group
from corpusmill.mixtures.plan.phases import Phase

_OF_GROUPS = ("by", "weights", "epochs", "policy", "temperature", "within")
_PLAIN = {name: getattr(Group(), name) for name in _OF_GROUPS}


class PhaseOptions(Group):
    """A stretch of the training with shares, row length and fill-in-the-middle of its own.

    What it leaves out is as for the whole mixture; groups are taken over as a whole, or given anew
    (`policy: proportional` takes everything as it comes).
    """

    name: str = Field(min_length=1, description="What the phase is called, in plans and shards.")
    tokens: int | float | None = Field(
        None, gt=0, description="Tokens, or a share below 1 of all; null: what the other phases leave."
    )
    only: dict[str, list[str]] = Field(
        default_factory=dict, description="By column the values that it is drawn from: {domain: [math]}."
    )
    sequence_length: int | None = Field(
        None, ge=8, le=2**20, description="Tokens of a row; null: as `pack` says."
    )
    fim: dict[str, Any] | None = Field(
        None, description="Options of `pack.fim` that are its own, such as {rate: 0}."
    )

    @model_validator(mode="after")
    def _a_share_is_below_one(self) -> Self:
        if isinstance(self.tokens, float) and self.tokens >= 1:
            raise ValueError(f"tokens is {self.tokens:g}; give a share below 1, or a whole number")
        return self

    def phase(self, whole: Group) -> Phase:
        """The phase, in a mixture whose groups are `whole`."""
        # By value: options that were stored and read again are all set.
        own = any(getattr(self, name) != _PLAIN[name] for name in _OF_GROUPS)
        group: Group = self if own else whole
        if group is whole and self.max_epochs is not None:
            group = whole.model_copy(update={"max_epochs": self.max_epochs})
        tokens = Fraction(self.tokens) if isinstance(self.tokens, float) else self.tokens
        return Phase(self.name, group, tokens, self.only, self.sequence_length)
