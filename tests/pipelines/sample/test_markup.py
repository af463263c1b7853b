"""Markup of docstrings as HTML."""

from __future__ import annotations

import pytest

from corpusmill.pipelines.sample.markup import to_html


def test_headings_one_after_the_other_and_before_text() -> None:
    assert to_html("One\n===\nTwo\n---\nwords", "mathml") == "<h3>One</h3>\n<h3>Two</h3>\n<p>words</p>"
    assert to_html("One\n===", "mathml") == "<h3>One</h3>"
    assert to_html("words\nOne\n===", "mathml") == "<p>words\nOne\n===</p>"


@pytest.mark.parametrize("unit", ["a\n===\n", ":a", "`", "**a ", ":math:`", "` <", "- a\n"])
def test_very_much_of_one_mark(unit: str) -> None:
    assert to_html(unit * (300_000 // len(unit)), "mathml").startswith("<")
