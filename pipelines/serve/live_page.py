"""The live page: one document whose figures its script asks for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from corpusmill.pipelines.report.foreign_text import visible
from corpusmill.pipelines.report.page import asset, policy

_HERE = Path(__file__).parent


@cache
def _own(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def _style() -> str:
    return f"{asset('page.css')}\n{_own('live.css')}"


def policy_of_live() -> str:
    """As that of the report's pages, but that the script may ask this server."""
    return f"{policy(_style(), _own('live.js'))}; connect-src 'self'; img-src data:"


@cache
def live_page() -> str:
    """The page."""
    made = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    style, script = Markup(_style()), Markup(_own("live.js"))  # noqa: S704  (files of ours)
    return made.get_template("live.html").render(style=style, script=script)


def problem_page(words: str) -> str:
    """A page that tells why there is no report."""
    page = Markup(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>corpusmill</title>'
        '<p>There is no report now: {}</p><p><a href="./">How the run stands</a></p></html>'
    )
    return str(page.format(visible(words)))
