"""What a recipe says of a mixture's groups: a column, and how its values share the tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpusmill.mixtures.plan.cells import SOURCE
from corpusmill.pipelines.contract.option_paths import WrongOptionError

Policy = Literal["weights", "epochs", "proportional", "temperature", "unimax"]


class Group(BaseModel):
    """Documents by the values of one column, and how these share the tokens.

    `weights` are shares of tokens. `epochs` say how often the documents of each value come, one to the other:
    a value's share is in proportion to its tokens times its epochs (quality or length up-sampling). Without
    either, shares follow the tokens there are to the power 1/`temperature`, so 1 takes them as they come.
    With `policy: unimax` they are even, but none is more than `max_epochs` of what there is (Chung et al.
    2023, arXiv 2304.09151). What a group does not divide any further is taken in proportion: all its
    documents equally often.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    by: str = Field(
        SOURCE, description="Column: source, domain, lang, license, site, repo, tokens (length) or a score."
    )
    weights: dict[str, float] | None = Field(
        None, description='Share of the tokens by value; "*": all others together; 0 leaves one out.'
    )
    normalize: bool = Field(False, description="Scale weights that do not add up to 1.")
    epochs: dict[str, float] | None = Field(
        None, description='How often documents of a value come, one to the other; "*": of all others.'
    )
    policy: Literal["proportional", "temperature", "unimax"] | None = Field(
        None, description="Shares without weights; null: by temperature, which is in proportion unless given."
    )
    temperature: float = Field(
        1.0, ge=1.0, description="Without weights: 1 takes shares as they come, larger makes them more even."
    )
    max_epochs: float | None = Field(
        None, gt=0.0, le=1000.0, description="Most times that tokens are taken; null: as of the group around."
    )
    within: dict[str, Group] = Field(
        default_factory=dict, description="Groups within a value, which share what the value gets."
    )

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        given = [name for name in ("weights", "epochs", "policy") if getattr(self, name) is not None]
        if len(given) > 1:
            raise WrongOptionError((given[1],), f"give either {' or '.join(given)}, not both")
        if self.temperature != 1.0 and (given and self.policy != "temperature"):
            raise WrongOptionError(("temperature",), f"give either {given[0]} or temperature, not both")
        if self.policy == "temperature" and self.temperature == 1.0:
            raise WrongOptionError(
                ("policy",), "policy temperature needs a temperature above 1; add `temperature: 2`"
            )
        named_numbers = (("weights", "weight", self.weights), ("epochs", "epochs", self.epochs))
        for option, what, numbers in named_numbers:
            for value, number in (numbers or {}).items():
                if number < 0:
                    words = f"{what} of {value} is {number}; it must be 0 or more"
                    raise WrongOptionError((option, value), words)
        if self.epochs is not None and not any(self.epochs.values()):
            raise WrongOptionError(("epochs",), "epochs are all 0, so there is nothing to draw; raise one")
        if self.weights is not None:
            total = math.fsum(self.weights.values())
            if total == 0 or (abs(total - 1.0) > 1e-6 and not self.normalize):
                words = f"weights add up to {total:g}, not 1; correct them or set normalize: true"
                raise WrongOptionError(("weights",), words)
        named = self.named
        for value in self.within if named is not None else ():
            if named is not None and value not in named:
                raise WrongOptionError(
                    ("within", value),
                    f"within has {value}, which has no {'weight' if self.weights else 'epochs'}; give it one",
                )
        return self

    @property
    def way(self) -> Policy:
        """How its values share."""
        if self.weights is not None:
            return "weights"
        if self.epochs is not None:
            return "epochs"
        return self.policy or ("proportional" if self.temperature == 1.0 else "temperature")

    @property
    def named(self) -> tuple[str, ...] | None:
        """The values that it names; None where it means all there are."""
        numbers = self.weights if self.weights is not None else self.epochs
        return None if numbers is None else tuple(numbers)

    def every(self) -> Iterator[Group]:
        """This group and those within it."""
        return (group for _, group in self.placed())

    def placed(self) -> Iterator[tuple[tuple[str, ...], Group]]:
        """This group and those within it, each with its path from this one."""
        yield (), self
        for value, inner in self.within.items():
            yield from ((("within", value, *path), group) for path, group in inner.placed())
