"""What the sources of a mixture can give: tokens there are, the budget, and the most epochs of any.

`mixture runs` writes it beside its table, as YAML:

    tokens: 4000000
    max_epochs: 4.0
    sources: {web: 1200000, code: 3400000}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.mixtures.fit.run_table import Floats
from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.pipelines.recipe.yaml_text import parse_value


@dataclass(frozen=True)
class Supply:
    """Tokens of each source, tokens of the mixture, and how often a source may be taken at most."""

    sources: Mapping[str, int]
    tokens: int
    max_epochs: float

    def proportional(self, names: Sequence[str]) -> Floats:
        """Shares in proportion to the tokens there are, float64[S]."""
        have = np.array([self.sources.get(name, 0) for name in names], np.float64)
        if have.sum() == 0:
            raise UserError(f"none of {', '.join(names)} has tokens; the file of sources is of other ones")
        return np.asarray(have / have.sum(), np.float64)

    def caps(self, names: Sequence[str]) -> Floats:
        """The largest share of each, float64[S]."""
        have = np.array([self.sources.get(name, 0) for name in names], np.float64)
        return np.asarray(np.minimum(self.max_epochs * have / self.tokens, 1.0), np.float64)


def supply_file(table: Path) -> Path:
    """Where the supply of a table's sources stands."""
    return table.with_name(table.name + ".sources.yaml")


def write_supply(path: Path, supply: Supply) -> None:
    import yaml

    value = {"tokens": supply.tokens, "max_epochs": supply.max_epochs, "sources": dict(supply.sources)}
    path.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), "utf-8")


def read_supply(path: Path) -> Supply:
    """Raises DataError naming the file for one that is no supply."""
    value = read_mapping(path)
    sources, tokens, epochs = value.get("sources"), value.get("tokens"), value.get("max_epochs", 4.0)
    given = sources if isinstance(sources, dict) else {}
    counts = [*given.values(), tokens]
    whole = bool(given) and all(isinstance(one, int) and one >= 0 for one in counts)
    if not whole or not tokens or not isinstance(epochs, int | float) or epochs <= 0:
        raise DataError(f"{path}: needs `tokens` (a number), `max_epochs` and `sources: {{name: tokens}}`")
    return Supply({str(name): int(one) for name, one in given.items()}, int(tokens), float(epochs))


def read_weights(path: Path) -> dict[str, float]:
    """Weights by source from YAML: a mapping, or one under `weights`. Raises DataError."""
    value = read_mapping(path)
    value = value.get("weights", value)
    if not isinstance(value, dict) or not value:
        raise DataError(f"{path}: no weights by source; write `weights: {{web: 0.6, code: 0.4}}`")
    for name, weight in value.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise DataError(f"{path}: weight of {name} is {weight!r}, not a number of 0 or more")
    return {str(name): float(weight) for name, weight in value.items()}


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML mapping, read safely. Raises DataError."""
    try:
        value = parse_value(path.read_text("utf-8"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise DataError(f"{path}: cannot be read ({why}); correct the path, or its access") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: not a mapping")
    return value
