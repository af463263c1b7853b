"""How good tokenizers are: what is measured of each, and how one is judged (`acceptance.json`).

The room of tokenizers measures and writes; reports and inspection show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Entry:
    """An entry of a vocabulary: its id and text."""

    id: int
    token: str


@dataclass(frozen=True)
class SizedEntry:
    """An entry with the bytes it spells."""

    id: int
    token: str
    bytes: int


@dataclass(frozen=True)
class Composition:
    """What a vocabulary is made of. `scripts` and `lengths` count entries by script and by length in bytes;
    `line_break_combinations`: entries that end in a line break and hold something else than white space."""

    ids: int
    entries: int
    added_tokens: int
    merges: int
    family: str
    scripts: Mapping[str, int]
    lengths: Mapping[str, int]
    line_break_combinations: int
    longest: tuple[SizedEntry, ...]
    longest_by_script: Mapping[str, tuple[SizedEntry, ...]]


@dataclass(frozen=True)
class GroupFigures:
    """Figures of a group of documents: `*` is all, `SOURCE` or `SOURCE/LANGUAGE` a part. Documents, bytes and
    tokens are those counted; rates, None without a denominator, are of weighted sums. `against`: bytes per
    token over that of other tokenizers; None where there is no comparison."""

    group: str
    by: str
    documents: int
    bytes: int
    tokens: int
    bytes_per_token: float | None
    characters_per_token: float | None
    words_per_token: float | None
    fertility: float | None
    continued_words: float | None
    altered_documents: int
    against: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class Usage:
    """How many entries of more than one byte never occur (`unused`), and how many fewer than `rare_below`
    times (`under_trained`)."""

    entries: int
    unused: int
    unused_share: float | None
    rare_below: int
    under_trained: int
    under_trained_share: float | None
    unused_examples: tuple[str, ...]
    under_trained_examples: tuple[str, ...]


@dataclass(frozen=True)
class RoundTrip:
    """What does not come back from its tokens. What is spelt in bytes is None where a byte has no entry."""

    bytes_without_token: tuple[str, ...]
    code_points: int
    code_points_changed: int
    changed_examples: tuple[str, ...]
    characters_spelt_in_bytes: int | None
    characters_spelt_wrong: int | None
    invalid_sequences: int | None
    invalid_sequences_decoded_otherwise: int | None
    lone_bytes_replaced: int | None
    lossless: bool


@dataclass(frozen=True)
class Grouping:
    """How most numbers of one length are cut, and the share of them that are."""

    grouping: str
    share: float


@dataclass(frozen=True)
class Digits:
    """How runs of digits are cut; `largest_group`: digits of the largest token."""

    lengths: Mapping[str, Grouping]
    consistent: bool
    largest_group: int
    examples: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class WhiteSpace:
    """Tokens that white space costs, by what it is."""

    indentation: Mapping[str, int]
    runs: Mapping[str, int]
    line_ends: Mapping[str, int]
    trailing: Mapping[str, int]
    example: tuple[str, ...]


@dataclass(frozen=True)
class EntryCount:
    """How many entries are of a kind, and the longest of them."""

    count: int
    examples: tuple[Entry, ...]


@dataclass(frozen=True)
class TraceCount:
    """Entries that look like traces of persons and secrets, in all and by kind."""

    count: int
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class Suspicious:
    """Entries that look wrong, by kind."""

    unreachable: EntryCount
    partial_utf8: EntryCount
    long_repeats: EntryCount
    traces: TraceCount
    trace_examples: Mapping[str, tuple[Entry, ...]]


@dataclass(frozen=True)
class Growth:
    """Bytes per token of groups at sizes of the `vocabulary`; none where `why_not` says why."""

    why_not: str | None
    vocabulary: tuple[int, ...]
    groups: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class TokenizerFigures:
    """All figures of a tokenizer; `groups`, `usage` and `growth` are None without texts to measure on.

    `dropped` and `lossy`: parts of its file that are not used, and that change texts.
    """

    file: str
    encoder: str
    dropped: tuple[str, ...] = ()
    lossy: tuple[str, ...] = ()
    vocabulary: Composition
    groups: tuple[GroupFigures, ...] | None
    usage: Usage | None
    round_trip: RoundTrip
    digits: Digits
    white_space: WhiteSpace
    suspicious: Suspicious
    growth: Growth | None


@dataclass(frozen=True)
class Judged:
    """A threshold, the value that was measured (None: nothing to measure), and whether it is met."""

    what: str
    group: str
    value: int | float | None
    limit: int | float
    at_least: bool
    met: bool
    cure: str


@dataclass(frozen=True)
class Judgement:
    """The verdict on a run's tokenizer. `bytes` and `documents` measured of `bytes_offered` held out;
    `tokenizers`: figures of the run's own, `tokenizer`, and of its references."""

    accepted: bool
    held_out: float
    documents: int
    bytes: int
    bytes_offered: int
    bytes_per_token: float | None
    fertility: float | None
    thresholds: int
    judged: tuple[Judged, ...]
    groups: tuple[GroupFigures, ...]
    tokenizers: Mapping[str, TokenizerFigures]


@dataclass(frozen=True)
class InspectedTokenizer:
    """A tokenizer measured on texts: figures by name of tokenizer, its own (`name`) first, its groups beside
    those of the others, and what the readers of `files` could not read, by reason (`lost`)."""

    KIND: ClassVar[str] = "tokenizer"

    path: str
    name: str
    files: tuple[str, ...]
    lost: Mapping[str, int]
    groups: tuple[GroupFigures, ...]
    tokenizers: Mapping[str, TokenizerFigures]
