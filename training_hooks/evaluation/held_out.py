"""The held-out documents, as windows to score and bytes to divide by, and scores by source.

Every token of every held-out document is scored once: a row of n real tokens is read as [start token, its
tokens], in windows of T inputs that do not overlap, the last one shorter. What a token has before it is
therefore cut at windows, and half of the tokens see less than T/2 of context; this is the same for all models
of one T, and makes bits per byte an upper bound. N real targets, S sources.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.tokenizer.shards.format import HELD_OUT, TRAIN
from corpusmill.tokenizer.shards.reader import Shard, open_shard
from corpusmill.training_hooks.evaluation.baselines import Baselines
from corpusmill.training_hooks.evaluation.real_tokens import real_tokens, start_token

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """`tokens` int64[B, T + 1]: inputs and, one later, targets. `source` int64[B, T] of every target, as an
    index into `HeldOut.sources`, -1 where there is none."""

    tokens: I64
    source: I64


@dataclass(frozen=True)
class Score:
    """What one source, or all, costs: `nats` summed over `tokens`, which encode `bytes` of `documents`."""

    nats: float
    tokens: int
    bytes: int
    documents: int

    def as_json(self) -> dict[str, Any]:
        """With `bits_per_byte` and `nats_per_token`; null where there is nothing to divide by."""
        bits = self.nats / math.log(2)
        return {
            "documents": self.documents,
            "bytes": self.bytes,
            "tokens": self.tokens,
            "bits_per_byte": bits / self.bytes if self.bytes else None,
            "nats_per_token": self.nats / self.tokens if self.tokens else None,
        }


class HeldOut:
    """Held-out shards, open for scoring. `sources`: names; `tokens`, `documents`: totals.

    Bits per byte are the bits of all tokens of a source's documents, their ends included, over the UTF-8
    bytes of the texts, which the shards' metadata counts: a figure that models of any vocabulary share.
    Raises IntegrityError for a shard that is not held out, or disagrees with `training` (one of the
    training's) about the tokenizer.
    """

    def __init__(self, shards: Sequence[Path], training: Shard) -> None:
        self.shards = [open_shard(path) for path in shards]
        for shard in self.shards:
            if shard.metadata.get("split", TRAIN) != HELD_OUT:
                raise IntegrityError(f"{shard.path} is not held out: a model may have been trained on it")
            for fact in ("tokenizer", "vocab_size", "pad_id"):
                if shard.metadata[fact] != training.metadata[fact]:
                    raise IntegrityError(
                        f"{shard.path} has {fact} {shard.metadata[fact]}, but {training.path} has "
                        f"{training.metadata[fact]}: pack both anew in one run"
                    )
        self.sources = sorted({name for shard in self.shards for name in shard.metadata["sources"]})
        self.tokens = sum(int(shard.metadata["counts"]["tokens"]) for shard in self.shards)
        self.documents = sum(int(shard.metadata["counts"]["documents"]) for shard in self.shards)

    def some(self, tokens: int | None) -> HeldOut:
        """The first shards, at least one with tokens, up to about `tokens`; null for all of them.

        Documents are dealt to shards at random, so these are a sample.
        """
        if tokens is None or tokens >= self.tokens:
            return self
        chosen: list[Shard] = []
        held = 0
        for shard in self.shards:
            size = int(shard.metadata["counts"]["tokens"])
            if held and held + size > tokens:
                break
            chosen.append(shard)
            held += size
        fewer = object.__new__(HeldOut)
        fewer.shards, fewer.sources, fewer.tokens = chosen, self.sources, held
        fewer.documents = sum(int(shard.metadata["counts"]["documents"]) for shard in chosen)
        return fewer

    def windows(self, context: int, batch: int) -> Iterator[Windows]:
        """All windows of `context` inputs, `batch` at a time; none without a target."""
        waiting: list[tuple[I64, I64]] = []
        for shard in self.shards:
            pad, codes = int(shard.metadata["pad_id"]), self._codes(shard)
            start = start_token(shard.metadata)
            for row in range(shard.rows):
                pieces = shard.pieces(row)
                source = np.repeat([codes[p.source] for p in pieces], [p.length for p in pieces])
                tokens = np.concatenate([[start], shard.tokens(row)[: len(source)].astype(np.int64)])
                for first in range(0, len(source), context):
                    window = np.full(context + 1, pad, np.int64)
                    code = np.full(context, -1, np.int64)
                    size = min(context, len(source) - first)
                    window[: size + 1] = tokens[first : first + size + 1]
                    code[:size] = source[first : first + size]
                    waiting.append((window, code))
                    if len(waiting) == batch:
                        yield _stacked(waiting)
                        waiting = []
        if waiting:
            yield _stacked(waiting)

    def _codes(self, shard: Shard) -> dict[str, int]:
        return {name: self.sources.index(name) for name in shard.metadata["sources"]}

    def scores(self, nats_S: F64, tokens_S: I64) -> dict[str, Score]:
        """Scores by source, of those that have documents, and `*` for all."""
        found = {}
        for code, name in enumerate(self.sources):
            counts = [shard.metadata["counts"] for shard in self.shards]
            size = sum(one["bytes_by_source"].get(name, 0) for one in counts)
            documents = sum(one["documents_by_source"].get(name, 0) for one in counts)
            if documents:
                found[name] = Score(float(nats_S[code]), int(tokens_S[code]), size, documents)
        whole = Score(
            math.fsum(score.nats for score in found.values()),
            sum(score.tokens for score in found.values()),
            sum(score.bytes for score in found.values()),
            sum(score.documents for score in found.values()),
        )
        return {ALL: whole, **found}

    def baseline_scores(self, baselines: Baselines) -> dict[str, dict[str, Score]]:
        """Scores of `unigram` and `bigram` on the same tokens."""
        nats = {name: np.zeros(len(self.sources)) for name in ("unigram", "bigram")}
        tokens_S = np.zeros(len(self.sources), np.int64)
        for shard in self.shards:
            codes = np.array([*self._codes(shard).values()], np.int64)
            for block in real_tokens(shard):
                source = codes[block.source]
                tokens_S += np.bincount(source, minlength=len(tokens_S))
                each = {
                    "unigram": baselines.unigram_nats(block.token),
                    "bigram": baselines.bigram_nats(block.before, block.token),
                }
                for name, nats_N in each.items():
                    nats[name] += np.bincount(source, weights=nats_N, minlength=len(tokens_S))
        return {name: self.scores(nats_S, tokens_S) for name, nats_S in nats.items()}


ALL = "*"  # the name of all sources together


def _stacked(windows: list[tuple[I64, I64]]) -> Windows:
    return Windows(np.stack([w for w, _ in windows]), np.stack([s for _, s in windows]))
