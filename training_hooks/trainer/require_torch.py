"""One place that says how to install what the trainer needs beyond the core."""

from __future__ import annotations

import importlib.util

from corpusmill.pipelines.contract.errors import UserError


def require_torch() -> None:
    """Raises UserError naming what is missing of the `train` extra and the command that installs it."""
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"training needs {' and '.join(missing)}, not installed here: pip install corpusmill[train]"
        )
