from corpusmill.pipelines.api.library import Recipe as Recipe
from corpusmill.pipelines.api.library import Run as Run
from corpusmill.pipelines.api.library import Shards as Shards
from corpusmill.pipelines.api.library import open_run as open_run

__version__: str
__all__ = ["Recipe", "Run", "Shards", "__version__", "open_run"]
