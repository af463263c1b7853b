"""corpusmill as a library: the verbs of the command line for programs and notebooks.

What `import corpusmill` offers is named here, in one place; all else may move.
"""

from __future__ import annotations

from corpusmill.pipelines.api.recipe import Recipe
from corpusmill.pipelines.api.run import Run, open_run
from corpusmill.pipelines.api.shards import Shards

__all__ = ["Recipe", "Run", "Shards", "open_run"]
