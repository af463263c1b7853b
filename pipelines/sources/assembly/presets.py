"""Fields of well-known data sets of source code, by the names that their cards give them.

A preset stands for `text_field` and `fields`; what a recipe says besides wins. Ids come from repository and
path, not from `hexsha` or `blob_id`, which are the same for copies of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Preset = Literal["the_stack", "the_stack_v2", "starcoderdata", "github_code"]
_PRESETS: dict[str, tuple[str, dict[str, str]]] = {
    # huggingface.co/datasets/bigcode/the-stack and the-stack-dedup
    "the_stack": (
        "content",
        {
            "path": "max_stars_repo_path",
            "repo": "max_stars_repo_name",
            "license": "max_stars_repo_licenses",
            "code_language": "lang",
        },
    ),
    # huggingface.co/datasets/bigcode/the-stack-v2, with the contents of its blobs added as `content`
    "the_stack_v2": (
        "content",
        {"repo": "repo_name", "license": "detected_licenses", "code_language": "language"},
    ),
    # huggingface.co/datasets/bigcode/starcoderdata
    "starcoderdata": ("content", {"path": "max_stars_repo_path", "repo": "max_stars_repo_name"}),
    # huggingface.co/datasets/codeparrot/github-code
    "github_code": ("code", {"repo": "repo_name", "code_language": "language"}),
}


def with_preset(options: Mapping[str, Any]) -> dict[str, Any]:
    """A reader's options with those that its `preset` stands for; an unknown one is left to be refused."""
    known = _PRESETS.get(options["preset"]) if isinstance(options.get("preset"), str) else None
    if known is None:
        return dict(options)
    text, fields = known
    given = options.get("fields", {})
    if not isinstance(given, Mapping):
        return dict(options)
    return {**options, "text_field": options.get("text_field", text), "fields": {**fields, **given}}
