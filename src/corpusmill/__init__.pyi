from corpusmill.pipelines.api.library import MixtureStatistics as MixtureStatistics
from corpusmill.pipelines.api.library import Recipe as Recipe
from corpusmill.pipelines.api.library import Run as Run
from corpusmill.pipelines.api.library import RunDifference as RunDifference
from corpusmill.pipelines.api.library import Shards as Shards
from corpusmill.pipelines.api.library import open_run as open_run

# `Run.mixture_statistics()` gives MixtureStatistics: what is drawn of every source, group, language, licence and
# domain. `Run.diff(other)` gives RunDifference: what came and went from one run to another, and why. Both are
# frozen records of typed rows, which a notebook shows as tables.
__version__: str
__all__ = ["MixtureStatistics", "Recipe", "Run", "RunDifference", "Shards", "__version__", "open_run"]
