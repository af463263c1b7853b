"""Learn the content model's weights, and judge them by pages of sites that they were not learned from.

    python -m corpusmill.pipelines.extraction.learning --set WARC INDEX [--set ...] [--folds 5] [--out FILE]

Pages are dealt to folds by a hash of their site. For each fold the weights, words included, are learned
from all others; the macro mean of F1 of words is printed by kind of page. Then the weights of all pages are
written to FILE. Needs the packages `lightgbm` and `rapidfuzz`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.extraction.content_model import FORMAT, WEIGHTS, ContentModel, model_of
from corpusmill.pipelines.extraction.features import FEATURES
from corpusmill.pipelines.extraction.learning.boosting import ROUNDS, learn_trees
from corpusmill.pipelines.extraction.learning.marked_pages import (
    Marked,
    mark,
    marked_pages,
    word_f1,
)
from corpusmill.pipelines.extraction.learning.telling_words import name_weights, text_weights

WITHOUT_WORDS = {"format": FORMAT, "features": list(FEATURES), "names": {}, "words": {}, "trees": []}


def learn(plain: Sequence[Marked], rounds: int = ROUNDS) -> dict[str, Any]:
    """The weights as the file holds them; pages are marked without any weights of words."""
    words = {**WITHOUT_WORDS, "names": name_weights(plain), "words": text_weights(plain)}
    model = model_of(words)
    marked = [with_words(old, model) for old in plain if old.texts]
    return {**words, "trees": learn_trees(marked, rounds)}


def with_words(old: Marked, model: ContentModel) -> Marked:
    """The same page with the features of words that `model` knows."""
    return Marked(old.page, model.look(old.page.markup), old.texts, old.share, old.words)


def fold_of(site: str, folds: int) -> int:
    """Which fold a site's pages belong to."""
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big") % folds


def judge(plain: Sequence[Marked], folds: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Macro mean of F1 of words over pages, each judged by weights of other sites; by kind, and `all`."""
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for fold in range(folds):
        model = model_of(learn([each for each in plain if fold_of(each.page.site, folds) != fold], rounds))
        for old in plain:
            if fold_of(old.page.site, folds) != fold:
                continue
            kept = model.content(with_words(old, model).look)
            score = word_f1([text for text, keep in zip(old.texts, kept, strict=True) if keep], old.page.gold)
            scores["all"].append(score)
            scores[old.page.kind].append(score)
    return {kind: round(sum(found) / len(found), 4) for kind, found in sorted(scores.items())}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--set", nargs=2, type=Path, action="append", required=True, metavar=("WARC", "INDEX")
    )
    parser.add_argument("--folds", type=int, default=5, help="0: do not judge")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    nothing = model_of(WITHOUT_WORDS)
    pages = [mark(page, nothing) for warc, index in given.set for page in marked_pages(warc, index)]
    if given.folds:
        print(json.dumps(judge(pages, given.folds, given.rounds)), flush=True)
    given.out.write_text(_readable(learn(pages, given.rounds)), encoding="utf-8")


def _readable(weights: dict[str, Any]) -> str:
    """JSON with a line for each tree and for the words of each kind."""
    lines = [f'"format": {weights["format"]}', f'"features": {json.dumps(weights["features"])}']
    lines += [f'"{name}": {json.dumps(weights[name])}' for name in ("names", "words")]
    trees = ",\n".join(json.dumps(tree, separators=(",", ":")) for tree in weights["trees"])
    return "{\n" + ",\n".join(lines) + ',\n"trees": [\n' + trees + "\n]}\n"


if __name__ == "__main__":
    main()
