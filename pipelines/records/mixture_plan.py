"""The plan of a mixture, `plan.json`: how much of each source is drawn, and which document it ends in.

`mixture` writes it; `draw`, `pack`, reports and inspection read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.codec import decode, encode

FILE = "plan.json"


@dataclass(frozen=True)
class LastDocument:
    """The document that the part of an epoch ends in, and how many of its `of` tokens are taken: from its
    beginning, perhaps none. `draw` has 16 hex digits."""

    draw: str
    document: str
    unit: int
    row: int
    tokens: int
    of: int


@dataclass(frozen=True)
class SourcePlan:
    """What is taken of one source: `full_epochs` copies of everything, and one more of bins below `threshold`
    and of the documents of that bin that come before `last`; and the beginning of `last`.

    tokens, documents and bytes are counted with copies (a document cut counts as one, its bytes in proportion
    to its tokens); `epochs` = tokens / available tokens, None where there are none; `share` is of the whole
    mixture, None where nothing is drawn of any source. `shortfall` says
    why tokens are fewer than requested, None where they are not; `cause` is one of `max_epochs`, `empty`,
    `held_out` and `rounding`.
    """

    available_tokens: int
    available_documents: int
    available_bytes: int
    requested_share: float
    requested_tokens: int
    full_epochs: int
    threshold: int
    last: LastDocument | None
    tokens: int
    documents: int
    bytes: int
    share: float | None
    epochs: float | None
    shortfall: str | None
    cause: str | None


@dataclass(frozen=True)
class HeldOutOfSource:
    """What is held out of one source."""

    bytes: int
    documents: int
    tokens: int


@dataclass(frozen=True)
class HeldOutPlan:
    """What is drawn once to be judged on, of the sources that are trained on. `share` is the one asked."""

    bytes: int
    documents: int
    share: float
    sources: Mapping[str, HeldOutOfSource]
    tokens: int


@dataclass(frozen=True)
class MixturePlan:
    """The whole plan. `bins`: of the documents' draws; `requested_tokens`: None where all that there is was
    asked for; tokens, documents and bytes are those drawn, with copies."""

    seed: int
    bins: int
    requested_tokens: int | None
    tokens: int
    documents: int
    bytes: int
    max_epochs: float
    sources: Mapping[str, SourcePlan]
    held_out: HeldOutPlan


def write_plan(path: Path, plan: MixturePlan) -> None:
    """Write the plan as indented JSON with sorted keys."""
    text = json.dumps(encode(plan), indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_plan(path: Path) -> MixturePlan:
    """The plan of such a file. Raises IntegrityError where it is not one."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise damaged(f"{path}: not valid JSON ({error})") from error
    return decode(MixturePlan, value, str(path))
