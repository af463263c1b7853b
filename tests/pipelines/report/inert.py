"""A page of the report as its tags, and what none may hold: one script runs, and nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def check_inert(html: str) -> Page:
    """The page, which has one style, one script, and a policy that admits these two by their hashes."""
    page = Page(html)
    assert not {"iframe", "object", "embed", "form", "link", "base", "img"} & set(page.tags)
    assert {v for t, n, v in page.attributes if t == "input" and n == "type"} <= {"search", "radio"}
    assert page.tags.count("style") == page.tags.count("script") == 1
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        assert name != "style", (tag, value)  # the policy forbids it
        if name in ("href", "src", "xlink:href", "action"):
            assert re.fullmatch(r"(report\.html|sources-\d+\.html)?(#[a-z0-9-]+)?", value or ""), (tag, value)
    policy = next(
        v for t, n, v in page.attributes if t == "meta" and n == "content" and v and "default-src" in v
    )
    (style,), (script,) = (
        re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL) for tag in ("style", "script")
    )
    assert policy == (
        f"default-src 'none'; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in html
    assert "@import" not in html
    return page
