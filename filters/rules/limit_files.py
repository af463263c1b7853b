"""Limits by language as files: `filters/limits/<filter>.yaml`, which `corpusmill calibrate` writes.

A file holds, by language code, `limits` (options of the filter that differ from its own) and `origin`: the
corpora, the quantile and what the choice keeps. Limits chosen on another corpus are given in a recipe as
`by_language`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

from corpusmill.filters.rules.limits import Limits

L = TypeVar("L", bound=Limits)
FOLDER = Path(__file__).parents[1] / "limits"


def shipped_limits(name: str, kind: type[L]) -> dict[str, L]:
    """The limits of the filter `name` by language, as `by_language` takes them."""
    entries: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return {code: kind.model_validate(entry["limits"]) for code, entry in entries.items()}
