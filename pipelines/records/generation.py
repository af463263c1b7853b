"""What `generate` gives: new texts, and how fast they came."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A request, which is a prompt or a prefix and suffix, with its new text, the tokens of this and what
    ended it."""

    prompt: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    text: str
    tokens: int
    ended: str


@dataclass(frozen=True)
class GenerationStatistics:
    """Tokens and seconds of a call; shares and rates are None of nothing. `draft_acceptance`: of each module
    that drafts; `expanded_bytes_per_token`: what a cache of keys and values would take."""

    prompt_tokens: int
    new_tokens: int
    prefill_seconds: float
    decode_seconds: float
    tokens_per_second: float | None
    tokens_per_pass: float | None
    draft_acceptance: tuple[float | None, ...]
    cache_bytes_per_token: int
    expanded_bytes_per_token: int
    cache_bytes: int


@dataclass(frozen=True)
class Generated:
    """Texts in the order of their requests, with the model and the tokenizer that made them."""

    model: str
    tokenizer: str
    completions: tuple[Completion, ...]
    statistics: GenerationStatistics
