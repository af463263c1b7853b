"""What mkdocs is told beside mkdocs.yml: pages made from the code, the front page, and where pages stand.

Pages that are made here lie in no file: the front page from README.md, the changes from CHANGELOG.md, the
options of commands from the command line itself, the options of recipes from their JSON Schema.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files

from corpusmill.pipelines.cli.command_page import command_page
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.recipe.json_schema import recipe_schema
from corpusmill.pipelines.recipe.schema_page import schema_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHANGES = ROOT / "CHANGELOG.md"
FROM_ROOT = ("index.md", "changes.md")  # pages whose files stand beside `docs`
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")


def _pages() -> dict[str, str]:
    return {
        "index.md": (ROOT / "README.md").read_text("utf-8").replace("](docs/", "]("),
        "changes.md": (ROOT / "CHANGELOG.md").read_text("utf-8").replace("](docs/", "]("),
        "options_of_commands.md": command_page(typer.main.get_command(app)),
        "options_of_recipes.md": schema_page(recipe_schema()),
    }


def on_config(config: Any) -> Any:
    """Put decisions, and pages that the navigation forgets, where they are found."""
    named = set(re.findall(r"[\w/]+\.md", str(config.nav)))
    decisions = sorted(path.relative_to(DOCS).as_posix() for path in (DOCS / "decisions").glob("0*.md"))
    for section in config.nav:
        if "Decisions" in section:
            section["Decisions"] = ["decisions/README.md", *decisions]
    more = sorted(path.name for path in DOCS.glob("*.md") if path.name not in named)
    if more:
        config.nav.insert(-2, {"More": more})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here."""
    for name, content in _pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Name files outside of the documentation, which the site does not have, in place of links to them.

    Raises FileNotFoundError for one that is not in the repository either.
    """
    here = (DOCS / page.file.src_uri).parent

    def told(link: re.Match[str]) -> str:
        target = (here / link[3]).resolve()
        if page.file.src_uri in FROM_ROOT and not target.exists():
            target = (ROOT / link[3]).resolve()
        if link[1] or (target.is_relative_to(DOCS)):
            return link[0]
        if target == CHANGES:
            return f"[{link[2]}](changes.md)"
        if not target.exists():
            raise FileNotFoundError(f"{page.file.src_uri}: {link[3]} is not in the repository")
        return f"{link[2]} (`{target.relative_to(ROOT).as_posix()}`)"

    # Code is left alone: what looks like a link in it is none.
    parts = re.split(r"(^```.*?^```$|`[^`\n]+`)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if at % 2 else _LINK.sub(told, part) for at, part in enumerate(parts))
