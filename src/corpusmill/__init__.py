"""corpusmill: from raw web, code and mathematics to token shards a trainer can trust.

    import corpusmill as cm

    run = cm.Recipe.load("recipe.yaml").run()
    run.query("select source, sum(bytes) from documents group by source")

`__all__` is kept stable; `docs/questions.md` shows its names at work, `__init__.pyi` has their types.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["MixtureStatistics", "Recipe", "Run", "RunDifference", "Shards", "__version__", "open_run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line imports this package as well."""
    if name in __all__:
        return getattr(importlib.import_module("corpusmill.pipelines.api.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
