"""The page of the documentation that has every option of recipes, made from their JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from corpusmill.pipelines.recipe.json_schema import Node

_INTRO = (
    "Made from the JSON Schema that editors use; [the recipe](recipe.md) tells what sections are for. An "
    "option without a default is left out, unless it has to be given."
)


def schema_page(schema: Node) -> str:
    """Markdown: the keys of a recipe, then the options of every stage, section and group of options."""
    lines = ["# Options of recipes", "", _INTRO, "", "## Keys of a recipe", "", *_table(schema)]
    for name, node in schema["definitions"].items():
        if "properties" in node:
            about = " ".join(str(node.get("description", "")).split("\n\n")[0].split())
            lines += ["", f"## {name}", "", _cell(about), "", *_table(node)]
    return "\n".join(lines) + "\n"


def _table(node: Node) -> list[str]:
    needed = node.get("required", [])
    rows = [
        f"| `{name}` | {_cell(option.get('description', ''))} | {_default(option, name in needed)} |"
        for name, option in node["properties"].items()
    ]
    return ["| option | meaning | default |", "|---|---|---|", *rows] if rows else ["It has no options."]


def _default(option: Node, needed: bool) -> str:
    if needed:
        return "has to be given"
    return _cell(f"`{_plain(option['default'])}`") if "default" in option else ""


def _plain(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
