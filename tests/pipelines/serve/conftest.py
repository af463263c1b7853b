"""The made run, once a session."""

from tests.pipelines.made_runs import made_folder, run

__all__ = ["made_folder", "run"]
