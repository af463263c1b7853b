"""Boosted trees of LightGBM, in the form that the content model's file holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.pipelines.extraction.features import FEATURES
from corpusmill.pipelines.extraction.learning.marked_pages import Marked

if TYPE_CHECKING:
    import numpy.typing as npt

# One thread and fixed seeds: the same pages give the same trees.
SEEDS = (1, 2)
_OPTIONS = {
    "objective": "cross_entropy", "num_leaves": 31, "max_depth": 6, "learning_rate": 0.1,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.4, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 127,
    "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbose": -1,
}  # fmt: skip
ROUNDS = 120


def features_of(marked: Marked) -> npt.NDArray[np.float32]:
    """float32[blocks, FEATURES] of a page."""
    return marked.look.features(0, len(marked.texts)).T


def learn_trees(pages: Sequence[Marked], rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Trees that give each block the share of its words that is main text.

    Every page weighs the same, and within it a block by the root of its words. Of each seed, which draws the
    features and blocks that a tree sees, `rounds` trees: the mean of two models varies less with the pages
    than one of them.
    """
    import lightgbm

    weights = [np.sqrt(marked.words + 0.2) for marked in pages]
    features = np.concatenate([features_of(marked) for marked in pages])
    shares = np.concatenate([marked.share for marked in pages])
    by_page = np.concatenate([100 * weight / weight.sum() for weight in weights])
    names = [f"f{number}" for number in range(len(FEATURES))]
    trees: list[dict[str, Any]] = []
    for seed in SEEDS:
        data = lightgbm.Dataset(features, shares, weight=by_page, feature_name=names)
        model = lightgbm.train({**_OPTIONS, "seed": seed}, data, rounds).dump_model()
        trees += [_tree(tree["tree_structure"]) for tree in model["tree_info"]]
    return trees


def _tree(root: dict[str, Any]) -> dict[str, Any]:
    """One tree, its nodes in the order of a walk: `low` and `high` are nodes, or ~leaf."""
    tree: dict[str, Any] = {name: [] for name in ("feature", "threshold", "low", "high", "leaves")}

    def add(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            tree["leaves"].append(round(node["leaf_value"] / len(SEEDS), 6))
            return ~(len(tree["leaves"]) - 1)
        number = len(tree["feature"])
        tree["feature"].append(node["split_feature"])
        tree["threshold"].append(float(f"{node['threshold']:.6g}"))
        for side in ("low", "high"):
            tree[side].append(0)
        tree["low"][number] = add(node["left_child"])
        tree["high"][number] = add(node["right_child"])
        return number

    add(root)
    return tree
