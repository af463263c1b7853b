"""The made run, once a session, and copies of it that a test may damage."""

from tests.pipelines.made_runs import copy_of, made_folder, run

__all__ = ["copy_of", "made_folder", "run"]
