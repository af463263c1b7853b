"""Names of the content model's features, in the order of their columns."""

from __future__ import annotations

from corpusmill.pipelines.extraction.kernels.blocks import COUNTED
from corpusmill.pipelines.extraction.kernels.surroundings import ANCESTORS, CONTAINERS, NEAR, WINDOWS

_OF_A_NEIGHBOUR = ("words", "link_share")
_OF_A_NEAR_ONE = ("is_p", "name_weight", "kinship", "word_weight", "last_sign")
_OF_A_CONTAINER = (
    "words", "word_share", "link_share", "running_share", "sentence_ends", "blocks", "place", "alike",
    "place_alike", "name_weight", "levels",
)  # fmt: skip

SURROUNDINGS = (
    *(f"in_{name}" for name in ANCESTORS),
    *("hidden", "aria_hidden", "not_displayed", "has_role", "has_property"),
    *(
        "name_weight",
        "least_name_weight",
        "greatest_name_weight",
        "nearest_name_weight",
        "fading_name_weight",
    ),
    *("is_p", "depth", "article", "below_candidate", "from_candidate", "from_candidate_end", "in_candidate"),
    *("alike", "place_alike", "most_alike", "below_most_alike"),
    *(
        "block",
        "place",
        "words_before_share",
        "running_before_share",
        "words_before",
        "words_after",
        "from_h1",
    ),
    *(
        f"{name}_at_{away:+d}"
        for away in NEAR
        for name in (*_OF_A_NEIGHBOUR, *(_OF_A_NEAR_ONE if abs(away) <= 2 else ()))
    ),
    *(f"{name}_within_{reach}" for reach in WINDOWS for name in ("words", "link_share", "running_share")),
    *(f"container{level}_{name}" for level in range(1, CONTAINERS + 1) for name in _OF_A_CONTAINER),
    *("page_words", "page_blocks", "page_link_share", "page_running_share", "page_sentence_ends"),
    *("page_articles", "page_mains", "candidate_running_share", "candidate_word_share", "page_has_h1"),
)
FEATURES = (*COUNTED, *SURROUNDINGS)
"""Columns of `content_model`'s features: what a block holds, then what stands around it."""
