"""The kinds of stages, at the address by which plugins import them; `contract.stage` and
`contract.windows` define them.

This address and `corpusmill.pipelines.documents` stay where they are, however the tree below changes.
"""

from __future__ import annotations

from corpusmill.pipelines.contract.stage import (
    Context,
    Deduplicate,
    Edit,
    Emitted,
    Exchange,
    Filter,
    Fold,
    Found,
    Map,
    Outcome,
    Regroup,
    Round,
    Seeded,
    Sent,
    Stage,
    Task,
    WithSides,
    Write,
)
from corpusmill.pipelines.contract.windows import InWindows

__all__ = [
    "Context",
    "Deduplicate",
    "Edit",
    "Emitted",
    "Exchange",
    "Filter",
    "Fold",
    "Found",
    "InWindows",
    "Map",
    "Outcome",
    "Regroup",
    "Round",
    "Seeded",
    "Sent",
    "Stage",
    "Task",
    "WithSides",
    "Write",
]
