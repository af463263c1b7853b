# ruff: noqa: E501 - markup
"""Web pages of installed modules' documentation, in three layouts with the boilerplate real sites have."""

from __future__ import annotations

import html
from dataclasses import dataclass

from corpusmill.pipelines.sample.docstrings import Docstring
from corpusmill.pipelines.sample.installed import mix
from corpusmill.pipelines.sample.markup import to_html

_LAYOUTS = 3


@dataclass(frozen=True)
class PageSource:
    """What one page is made of: a module's docstrings, and its neighbours for the navigation."""

    package: str
    version: str
    license: str | None
    module: str
    docs: tuple[Docstring, ...]
    neighbours: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The address under a reserved name (RFC 2606): these pages were never on the web."""
        return f"https://{self.package}.docs.example/{self.version}/{self.module}.html"


def render(source: PageSource, layout: int | None = None) -> str:
    """The page as HTML; the layout follows from the package's name unless given."""
    chosen = mix(source.package) % _LAYOUTS if layout is None else layout % _LAYOUTS
    return (_sidebar_page, _article_page, _table_page)[chosen](source)


def _sections(source: PageSource, mathematics: str) -> str:
    parts = []
    for doc in source.docs:
        if doc.kind != "module":
            parts.append(
                f'<h2 id="{html.escape(doc.name)}"><code>{html.escape(doc.signature[:200])}</code></h2>'
            )
        parts.append(to_html(doc.text, mathematics))
    return "\n".join(parts)


def _links(source: PageSource, item: str) -> str:
    return "".join(item.format(f'<a href="{n}.html">{html.escape(n)}</a>') for n in source.neighbours)


def _title(source: PageSource) -> str:
    return html.escape(f"{source.module} — {source.package} {source.version} documentation")


def _sidebar_page(source: PageSource) -> str:
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{_title(source)}</title>
<link rel="stylesheet" href="/static/theme.css"><script src="/static/search.js"></script></head>
<body><div class="header" role="banner"><a href="/">{source.package}</a> | <a href="/genindex.html">index</a> |
<a href="/py-modindex.html">modules</a> | <a href="/search.html">search</a></div>
<div class="sidebar" role="navigation"><h3>Table of contents</h3><ul>{_links(source, "<li>{}</li>")}</ul>
<h3>This page</h3><a href="/sources/{source.module}.txt">Show source</a></div>
<div class="document"><div class="body" role="main"><h1>{html.escape(source.module)}<a class="headerlink" href="#">¶</a></h1>
{_sections(source, "script")}
</div></div>
<div class="footer">© Copyright the {source.package} developers. Licence: {html.escape(source.license or "see package")}.
Created from installed documentation.</div></body></html>
"""


def _article_page(source: PageSource) -> str:
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{_title(source)}</title></head>
<body><div id="cookie-consent">This site uses cookies to remember your settings. <button>Accept</button></div>
<header><nav class="navbar"><ul><li><a href="/">Home</a></li><li><a href="/docs">Docs</a></li><li><a href="/blog">Blog</a></li>
<li><a href="/about">About us</a></li></ul></nav></header>
<main><article><header><h1>{html.escape(source.module)}</h1></header>
{_sections(source, "katex")}
</article>
<aside class="related"><h4>You may also like</h4><ul>{_links(source, "<li>{}</li>")}</ul></aside></main>
<footer><form class="newsletter"><label>Subscribe to our newsletter <input name="email"></label></form>
<p>All rights reserved by the {source.package} developers. <a href="/privacy">Privacy</a> <a href="/terms">Terms</a></p></footer>
</body></html>
"""


def _table_page(source: PageSource) -> str:
    return f"""<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"><title>{_title(source)}</title></head>
<body bgcolor="#ffffff"><table width="100%"><tr><td colspan="2"><font size="5">{source.package}</font>
[<a href="/">top</a>] [<a href="/news.html">news</a>] [<a href="/download.html">download</a>]</td></tr>
<tr><td valign="top" width="20%" class="menu">{_links(source, "{}<br>")}</td>
<td valign="top"><h1>{html.escape(source.module)}</h1>
{_sections(source, "mathml")}
</td></tr>
<tr><td colspan="2" class="footer"><hr><small>Maintained by the {source.package} developers. Best viewed in any browser.</small></td></tr>
</table></body></html>
"""
