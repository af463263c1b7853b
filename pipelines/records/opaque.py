"""The parts of records whose content is a room's own business, and which records hand on as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What a stage says of what it made, such as counts of a shard: the stage writes it and reads it.
Summary = Mapping[str, Any]
# Options of a stage, as its class has them.
Options = Mapping[str, Any]
# A recipe as its user wrote it.
RawRecipe = Mapping[str, Any]
# A row of a table, values by the names of its columns.
Row = Mapping[str, Any]
# Values of a row of a table, in the order of its columns.
Cells = tuple[Any, ...]
