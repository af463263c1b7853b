"""Continuing prompts: prefill once, then token by token, or several at a time with drafts.

With drafts the main model sees the last token and D drafts in one pass, and each draft is kept that it would
have chosen itself; the choice after them comes for nothing. Choices follow from logits, seed and place
(`sampling.choose`), so the text is that of plain generation, drawn or greedy, token for token. (Logits of the
two ways agree up to round-off: only where two tokens or two experts tie that closely may one way differ.)
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from corpusmill.training_hooks.inference.decode import Decoder, padded
from corpusmill.training_hooks.inference.latent_cache import CacheBytes, cache_bytes
from corpusmill.training_hooks.inference.sampling import GREEDY, Sampling, choose
from corpusmill.training_hooks.inference.speculative import Drafter, deepest
from corpusmill.training_hooks.model.transformer import Transformer


@dataclass
class Continuation:
    """What was generated after one prompt, the stop token left out, and why it ended."""

    tokens: list[int] = field(default_factory=list)
    ended: Literal["stop", "length"] = "length"


@dataclass
class Statistics:
    """Figures of one call. `examined[d]` and `accepted[d]`: drafts of depth d + 1 that the main model judged,
    all before them being right, and those it agreed with. `passes`: passes of decoding, counted for each row
    that took part. `cache`: bytes of a token in the main layers and the modules that draft; `cache_tokens`:
    for how many there was room at most."""

    rows: int
    prompt_tokens: int
    cache: CacheBytes
    cache_tokens: int = 0
    new_tokens: int = 0
    passes: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    examined: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)

    @property
    def acceptance(self) -> list[float | None]:
        """Share of examined drafts that were right, by depth; null where none was examined."""
        pairs = zip(self.accepted, self.examined, strict=True)
        return [right / judged if judged else None for right, judged in pairs]

    @property
    def tokens_per_second(self) -> float | None:
        """New tokens of all rows a second of decoding, the first of each row (prefill gives it) left out."""
        return self._decoded / self.decode_seconds if self._decoded and self.decode_seconds > 0 else None

    @property
    def tokens_per_pass(self) -> float | None:
        """New tokens a pass of a row: 1 without drafts, up to 1 + depth with them."""
        return self._decoded / self.passes if self.passes else None

    @property
    def _decoded(self) -> int:
        return self.new_tokens - self.rows


@dataclass(eq=False)
class _Row:
    known: list[int]
    limit: int
    seed: int
    stop: Collection[int]
    continuation: Continuation = field(default_factory=Continuation)
    done: bool = False

    def take(self, token: int, statistics: Statistics) -> None:
        statistics.new_tokens += 1
        if token in self.stop:
            self.continuation.ended, self.done = "stop", True
            return
        self.known.append(token)
        self.continuation.tokens.append(token)
        self.done = len(self.continuation.tokens) == self.limit


@torch.no_grad()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    sampling: Sampling = GREEDY,
    stop: Collection[int] = (),
    draft: int = 0,
    decoding: Transformer | None = None,
) -> tuple[list[Continuation], Statistics]:
    """Continue each prompt (at least one token, of any lengths) by up to `max_new_tokens` tokens or up to a
    token of `stop`. `draft`: MTP modules to draft with, 0 for none; fewer are used where a prompt is shorter
    than that. Equal prompts get draws of their own. `decoding`: the model that goes on after the prompts are
    read, with the same weights elsewhere; null for the same one.

    Raises ValueError for prompts without tokens, tokens beyond the vocabulary and more drafts than modules.
    """
    _check(model, prompts, max_new_tokens, draft)
    if not prompts:
        return [], Statistics(0, 0, cache_bytes(model.config, len(model.layers)))
    depth = min(draft, deepest(model, prompts))
    rows = [
        _Row(list(prompt), max_new_tokens, seed, stop)
        for prompt, seed in zip(prompts, sampling.seeds(prompts), strict=True)
    ]
    capacity = max(map(len, prompts)) + max_new_tokens + depth + 1
    itemsize = model.embed_tokens.weight.element_size()
    statistics = Statistics(
        rows=len(rows),
        prompt_tokens=sum(map(len, prompts)),
        cache=cache_bytes(model.config, len(model.layers) + depth, itemsize),
        examined=[0] * depth,
        accepted=[0] * depth,
    )
    drafter = Drafter(model, depth, len(rows), capacity) if depth else None
    decoder = Decoder(model, len(rows), capacity)
    _Generation(decoder, drafter, rows, sampling, statistics, decoding).run()
    return [row.continuation for row in rows], statistics


def _check(model: Transformer, prompts: Sequence[Sequence[int]], max_new_tokens: int, draft: int) -> None:
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    if not 0 <= draft <= len(model.mtp):
        raise ValueError(f"draft must lie in 0..{len(model.mtp)}, the MTP modules there are, got {draft}")
    vocabulary = model.config.vocab_size
    for prompt in prompts:
        if not prompt:
            raise ValueError("a prompt needs at least one token")
        if not 0 <= min(prompt) <= max(prompt) < vocabulary:
            raise ValueError(f"a prompt has a token outside 0..{vocabulary - 1}")


class _Generation:
    """Rows that are still going on; one that is done leaves the caches."""

    def __init__(
        self,
        decoder: Decoder,
        drafter: Drafter | None,
        rows: Sequence[_Row],
        sampling: Sampling,
        statistics: Statistics,
        decoding: Transformer | None,
    ) -> None:
        self.decoder, self.drafter, self.rows = decoder, drafter, list(rows)
        self.sampling, self.statistics, self.decoding = sampling, statistics, decoding

    def run(self) -> None:
        started = time.perf_counter()
        counts = [len(row.known) for row in self.rows]
        ready_BTD = self.decoder.feed(padded([row.known for row in self.rows]), counts)
        last_BD = ready_BTD[torch.arange(len(counts)), torch.tensor(counts) - 1]
        first = [0] * len(self.rows)
        for row, token in zip(self.rows, self._choose(self.decoder.logits(last_BD), counts), strict=True):
            row.take(token, self.statistics)
        if self.decoding is not None:
            self.decoder.hand_over(self.decoding)
        self.statistics.prefill_seconds = time.perf_counter() - started
        while True:
            going = [number for number, row in enumerate(self.rows) if not row.done]
            if not going:
                break
            if len(going) < len(self.rows):
                ready_BTD = self._keep(going, ready_BTD)
                first = [first[number] for number in going]
            self.statistics.passes += len(self.rows)
            if self.drafter is None:
                ready_BTD = self._step()
            else:
                known = [row.known for row in self.rows]
                drafts = self.drafter.propose(known, ready_BTD, first, self._choose)
                first = [len(row.known) - 1 for row in self.rows]
                ready_BTD = self._verify(drafts)
        self.statistics.cache_tokens = self.decoder.cached.cache.most_places
        self.statistics.decode_seconds = time.perf_counter() - started - self.statistics.prefill_seconds

    def _choose(self, logits_BV: Tensor, places: Sequence[int]) -> list[int]:
        return choose(logits_BV, self.sampling, [row.seed for row in self.rows], places)

    def _keep(self, going: Sequence[int], ready_BTD: Tensor) -> Tensor:
        self.rows = [self.rows[number] for number in going]
        self.decoder.cached.cache.keep(going)
        if self.drafter is not None:
            self.drafter.keep(going)
        return ready_BTD[torch.tensor(going, device=ready_BTD.device)]

    def _step(self) -> Tensor:
        """One token of each row."""
        ready_BTD = self.decoder.feed(torch.tensor([row.known[-1:] for row in self.rows]))
        places = [len(row.known) for row in self.rows]
        for row, token in zip(
            self.rows, self._choose(self.decoder.logits(ready_BTD[:, -1]), places), strict=True
        ):
            row.take(token, self.statistics)
        return ready_BTD

    def _verify(self, drafts: Sequence[Sequence[int]]) -> Tensor:
        """The drafts of each row that the main model would have chosen, and its choice after them."""
        fed = [[row.known[-1], *draft] for row, draft in zip(self.rows, drafts, strict=True)]
        ready_BTD = self.decoder.feed(torch.tensor(fed))
        logits_BTV = self.decoder.logits(ready_BTD)
        steps = logits_BTV.shape[1]
        seeds = [row.seed for row in self.rows for _ in range(steps)]
        places = [len(row.known) + step for row in self.rows for step in range(steps)]
        chosen = choose(logits_BTV.flatten(0, 1), self.sampling, seeds, places)
        for number, (row, draft) in enumerate(zip(self.rows, drafts, strict=True)):
            for step in range(steps):
                token = chosen[number * steps + step]
                if step < len(draft):
                    self.statistics.examined[step] += 1
                    self.statistics.accepted[step] += token == draft[step]
                row.take(token, self.statistics)
                if row.done or (step < len(draft) and token != draft[step]):
                    break
        self.decoder.cached.lengths = [len(row.known) - 1 for row in self.rows]
        return ready_BTD
