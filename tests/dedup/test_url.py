"""Documents of one URL: normal forms, groups and survivors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.matching.urls import normal_form
from corpusmill.dedup.url import Url
from tests.oracles.dedup_exchange import documents, removals

EQUAL = [
    ("ignore_scheme", "http://a.org/b", "https://a.org/b"),
    ("ignore_host_case", "http://A.org/b", "http://a.ORG/b"),
    ("ignore_host_forms", "http://M\u00fcnchen.de/b", "http://xn--mnchen-3ya.de/b"),
    ("ignore_host_forms", "http://m%C3%BCnchen.de/b", "http://XN--MNCHEN-3YA.de/b"),
    ("ignore_host_forms", "http://\u65e5\u672c\u8a9e\u3002jp/b", "http://xn--wgv71a119e.jp/b"),
    ("ignore_host_forms", "http://fa\u00df.de/b", "http://xn--fa-hia.de/b"),
    ("ignore_host_forms", "http://a.org./b", "http://a.org/b"),
    ("ignore_host_forms", "http://[2001:DB8:0:0::1]/b", "http://[2001:db8::1]/b"),
    ("ignore_www", "http://www.a.org/b", "http://a.org/b"),
    ("ignore_default_port", "http://a.org:80/b", "http://a.org/b"),
    ("ignore_default_port", "https://a.org:443/b", "https://a.org:/b"),
    ("ignore_default_port", "http://a.org:0080/b", "http://a.org/b"),
    ("ignore_default_port", "http://a.org:08080/b", "http://a.org:8080/b"),
    ("ignore_path_dots", "http://a.org/x/./../b/c/..", "http://a.org/b/"),
    ("ignore_path_dots", "http://a.org/../../b", "http://a.org/b"),
    ("ignore_trailing_slash", "http://a.org/b/", "http://a.org/b"),
    ("ignore_trailing_slash", "http://a.org", "http://a.org/"),
    ("ignore_escapes", "http://a.org/%7eb%2f", "http://a.org/~b%2F"),
    ("ignore_escapes", "http://a.org/\u00e9?q=\u00e9 x", "http://a.org/%C3%A9?q=%c3%a9%20x"),
    ("ignore_fragment", "http://a.org/b#c", "http://a.org/b"),
    ("ignore_query_order", "http://a.org/?b=1&a=2&b=0", "http://a.org/?a=2&b=1&b=0"),
    ("ignore_parameters", "http://a.org/?UTM_source=x&a=1&fbclid=y", "http://a.org/?a=1"),
    ("ignore_parameters", "http://a.org/b;jsessionid=0A;v=1/c", "http://a.org/b;v=1/c"),
]
UNEQUAL = [
    ("http://a.org/B", "http://a.org/b"),
    ("http://a.org:8080/", "http://a.org/"),
    ("https://a.org:80/", "https://a.org/"),
    ("http://u@a.org/", "http://a.org/"),
    ("http://a.org/b#!c", "http://a.org/b"),
    ("http://a.org/#/b", "http://a.org/#/c"),
    ("http://a.org:0/", "http://a.org/"),
    ("http://80/", "http:///"),
    ("http://fass.de/", "http://fa\u00df.de/"),
    ("http://xn--.de/", "http://.de/"),
    ("http://a\uff0fb.de/", "http://a/b.de/"),
    ("http://xn--a.de/", "http://a.de/"),
    ("http://a.org/b;v=1", "http://a.org/b"),
    ("http://a.org/b%2Fc", "http://a.org/b/c"),
    ("http://a.org/?b=1&b=0", "http://a.org/?b=0&b=1"),
    ("http://a.org/?a=", "http://a.org/?b="),
    ("http://a.org/?fbclidx=1", "http://a.org/"),
    ("http://a.org//b", "http://a.org/b"),
    ("http://www.org/", "http://org/"),
    ("urn:A", "urn:a"),
    ("ftp://a.org/b/", "ftp://a.org/b"),
]
PARTS = ["xn--", "XN--mnchen-3ya", "%c3%9C", ";jsessionid=a", "/../", "utm_a=1"]
SIGNS = "htp:/?#[]@%&=;.+aA01~\u00e9\u00c9\uff0f\uff0e\u3002\u0130 \n!-"
ALL: dict[str, Any] = {"ignore_www": True}


def form(url: str, **options: Any) -> str:
    return normal_form(url, Url(**options).rules())


@pytest.mark.parametrize(("option", "one", "other"), EQUAL)
def test_each_option_ignores_one_difference(option: str, one: str, other: str) -> None:
    assert form(one, **ALL) == form(other, **ALL)
    without = {**ALL, option: [] if option == "ignore_parameters" else False}
    assert form(one, **without) != form(other, **without)


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_other_differences_count(one: str, other: str) -> None:
    assert form(one, **ALL) != form(other, **ALL)


def test_white_space_an_empty_query_and_an_empty_user_never_count() -> None:
    off: dict[str, Any] = {name: False for name in Url.model_fields if name.startswith("ignore_")}
    off["ignore_parameters"] = []
    assert form(" http://a.org/b?\n", **off) == form("http://:@a.org/b", **off) == "http://a.org/b"


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.sampled_from(PARTS), st.sampled_from(SIGNS)), max_size=30).map("".join))
def test_a_normal_form_is_its_own(end: str) -> None:
    url = "http://" + end
    for keep_scheme in (True, False):
        once = form(url, ignore_scheme=keep_scheme is False)
        again = form(once if once.startswith("http") else "http:" + once, ignore_scheme=keep_scheme is False)
        assert again == once


urls = st.sampled_from([None, "", " ", *(url for pair in (*EQUAL[:4], *UNEQUAL) for url in pair[-2:])])


@settings(deadline=None, max_examples=75)
@given(
    st.lists(st.tuples(urls, st.text("ab", max_size=3), st.sampled_from(["web", "code"])), max_size=20),
    st.sampled_from([[], ["code"], ["code", "web"]]),
    st.sampled_from(["longest", "first"]),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_equals_brute_force_in_any_layout(
    rows: list[tuple[str | None, str, str]],
    priority: list[str],
    keep: Any,
    unit: int,
    batch: int,
    partitions: int,
) -> None:
    docs = documents([t for _, t, _ in rows], [s for *_, s in rows], urls=[u for u, *_ in rows])
    stage = Url(keep=keep, priority=priority)
    groups: dict[str, list[tuple[int, int, str]]] = {}
    for (url, text, source), id_ in zip(rows, docs.column("id").to_pylist(), strict=True):
        if url is not None and url.strip():
            place = priority.index(source) if source in priority else len(priority)
            size = -len(text) if keep == "longest" else 0
            groups.setdefault(normal_form(url, stage.rules()), []).append((place, size, id_))
    expected = {
        id_: (min(group)[2], 1.0) for group in groups.values() for *_, id_ in group if id_ != min(group)[2]
    }
    assert removals(stage, docs, unit, batch, partitions) == expected
