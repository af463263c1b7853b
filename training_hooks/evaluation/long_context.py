"""What a longer context does to a model: loss by position, and needles in haystacks.

The haystacks are the last windows of an epoch's order, which a phase shorter than an epoch does not train
on, without their padding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpusmill.pipelines.contract.errors import UserError

if TYPE_CHECKING:
    from corpusmill.training_hooks.evaluation.examination import Examination
    from corpusmill.training_hooks.inference.needle import Needle
    from corpusmill.training_hooks.loading.loader import ShardLoader
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.precision.apply import Mode


class Needles(BaseModel):
    """Needles in a haystack (see `inference.needle`), looked for before and after a phase.

    `kind: text` is an English sentence with a number to be given back; `tokens`, a few tokens drawn from the
    text, asks nothing of the model but to copy what once followed the same tokens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["text", "tokens"] = Field(
        "text", description="Needle: an English sentence with a number, or a few tokens of the text."
    )
    trials: int = Field(4, ge=1, le=1000, description="Needles at each length and depth.")
    depths: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        min_length=1,
        max_length=101,
        description="Places in the context, from 0, its start, to 1, its end.",
    )
    lengths: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="Contexts in tokens; null: the context before all phases, its doubles, and the phase's.",
    )

    @model_validator(mode="after")
    def _places(self) -> Self:
        for depth in self.depths:
            if not 0 <= depth <= 1:
                raise ValueError(f"depths lie between 0, the start, and 1, the end; {depth:g} does not")
        return self


@dataclasses.dataclass(frozen=True)
class LongContextProbe:
    """Measures models on contexts of the loader's length. `tokenizer`: folder of its files, for needles of
    text. Raises UserError for needles that have no room or, where text, no tokenizer."""

    examination: Examination
    loader: ShardLoader
    needles: Needles | None
    tokenizer: Path | None
    seed: int
    precision: Mode

    def by_position(self, model: Transformer) -> list[dict[str, Any]] | None:
        """Mean loss in nats by tokens before the target; null where nothing is held out."""
        return self.examination.by_position(model, self.loader.context, self.precision)

    def needle_scores(self, model: Transformer, lengths: Sequence[int]) -> list[dict[str, Any]] | None:
        """Fields of `NeedleScore` at every length and depth; null where none are asked for. In FP32, but that
        linear layers in FP8 stay so."""
        from corpusmill.training_hooks.inference.needle import probe

        if self.needles is None:
            return None
        longest = max(lengths)
        haystacks = self._haystacks(longest, min(self.needles.trials, 8))
        drawn = [self._needle(model, haystacks[0], trial) for trial in range(self.needles.trials)]
        shortest = min(lengths)
        for needle in drawn:
            if 2 * len(needle.before) + len(needle.value) + len(needle.after) > shortest:
                raise UserError(
                    f"long_context.needles: a needle and its question do not fit into {shortest} tokens; ask "
                    "for longer `lengths`"
                )
        found = probe(model, haystacks, drawn, lengths=lengths, depths=self.needles.depths)
        return [dataclasses.asdict(score) for score in found]

    def lengths(self, before: int) -> list[int]:
        """Contexts to look for needles in: those asked for, or `before` and its doubles."""
        longest = self.loader.context
        if self.needles is not None and self.needles.lengths is not None:
            beyond = [length for length in self.needles.lengths if length > longest]
            if beyond:
                raise UserError(
                    f"long_context.needles.lengths: {beyond[0]} is longer than the phase's {longest} tokens"
                )
            return sorted(self.needles.lengths)
        doubles = [before << k for k in range(longest.bit_length()) if before << k < longest]
        return [*doubles, longest]

    def _haystacks(self, length: int, wanted: int) -> list[list[int]]:
        """`wanted` texts of `length` tokens, fewer where the shards hold fewer, at least one."""
        found: list[list[int]] = []
        here: list[int] = []
        for back in count(1):
            if back > self.loader.windows:
                break
            row = self.loader.sequences(self.loader.windows - back, 1)[0, : self.loader.context]
            here += row[row != self.loader.pad_id].tolist()
            if len(here) >= length:
                found.append(here[:length])
                here = []
                if len(found) == wanted:
                    return found
        if not found:
            raise UserError(
                f"long_context.needles: all shards together hold fewer than {length} tokens; ask for shorter "
                "`lengths`, or `needles: null`"
            )
        return found

    def _needle(self, model: Transformer, haystack: Sequence[int], trial: int) -> Needle:
        from corpusmill.training_hooks.inference.locate import Framing
        from corpusmill.training_hooks.inference.needle import text_needle, token_needle
        from corpusmill.training_hooks.inference.text_tokens import TextTokens

        assert self.needles is not None
        if self.needles.kind == "tokens":
            return token_needle(haystack, self.seed, trial)
        if self.tokenizer is None:
            raise UserError("long_context.needles: text needs the tokenizer; give it, or `kind: tokens`")
        text = TextTokens(self.tokenizer, model.config.vocab_size, Framing())
        return text_needle(text.encode, self.seed, trial)
