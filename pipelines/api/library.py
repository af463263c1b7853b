"""corpusmill as a library: the verbs of the command line for programs and notebooks.

What `import corpusmill` offers is named here, in one place; all else may move.
"""

from __future__ import annotations

from corpusmill.pipelines.api.recipe import Recipe
from corpusmill.pipelines.api.run import Run, open_run
from corpusmill.pipelines.api.shards import Shards
from corpusmill.pipelines.inspection.mixture_statistics import MixtureStatistics
from corpusmill.pipelines.inspection.run_diff.difference import RunDifference

__all__ = ["MixtureStatistics", "Recipe", "Run", "RunDifference", "Shards", "open_run"]
