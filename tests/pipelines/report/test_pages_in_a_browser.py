"""The report as people see it, in Debian's chromium: at three sizes, light and dark, small and large."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.report.build import build_report, gather
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.page import FIRST, LARGEST, REMOVED, render_pages
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.browser import SIZES, chromium, findings_of_axe, looking, overflow
from tests.pipelines.inspection import made_run as made
from tests.pipelines.report.many_sources import many_sources

MOST = 5_000_000  # bytes of a page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def figures(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Report:
    import shutil

    copy = RunFolder(shutil.copytree(run.path, tmp_path_factory.mktemp("trained") / "run"))
    made.add_training(copy)
    return gather(copy)


def written(folder: Path, report: Report) -> Path:
    for name, page in render_pages(report).items():
        (folder / name).write_text(page, "utf-8")
    return folder / FIRST


@pytest.fixture(scope="module")
def page(figures: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("report"), figures)


@pytest.fixture(scope="module")
def large(figures: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("large"), many_sources(figures, sources=200, reasons=2000))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
def test_it_fits_and_can_be_read_by_all(browser: Any, page: Path, size: tuple[int, int], scheme: Any) -> None:
    with looking(browser, page.as_uri(), size, scheme) as looked:
        assert looked.page.evaluate("CSS.supports('selector(:has(a))')")
        assert overflow(looked.page) == []
        looked.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert overflow(looked.page) == []
        if (size, scheme) in ((SIZES[0], "dark"), (SIZES[2], "light")):
            assert findings_of_axe(looked.page) == []
        dark = looked.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        assert dark == (scheme == "dark")


def test_links_lead_somewhere_and_unfold_it(browser: Any, page: Path) -> None:
    with looking(browser, page.as_uri(), SIZES[2]) as looked:
        links = looked.page.eval_on_selector_all(
            "a[href]", "all => all.map((one) => one.getAttribute('href'))"
        )
        ids = looked.page.eval_on_selector_all("[id]", "all => all.map((one) => '#' + one.id)")
        assert len(set(ids)) == len(ids)
        assert set(links) <= set(ids)
        looked.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
        looked.page.locator(".multiples a").first.click()
        looked.expect(looked.page.locator("details.source[open]")).to_have_count(1)


def test_units_change_the_picture(browser: Any, page: Path) -> None:
    with looking(browser, page.as_uri(), SIZES[0]) as looked:
        for unit in ("tokens", "documents", "bytes"):
            looked.page.locator(f"label[for=by-{unit}]").click()
            shown = looked.page.locator("figure.flow svg:visible")
            looked.expect(shown).to_have_count(1)
            looked.expect(shown).to_have_attribute("aria-label", re.compile(rf"^(\S+ ){{2}}{unit}\b"))


def test_the_search_finds_what_is_folded_away_and_nothing_runs(browser: Any, page: Path) -> None:
    with looking(browser, page.as_uri(), SIZES[0]) as looked:
        looked.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
        box = looked.page.locator("input[type=search]")
        looked.page.keyboard.press("/")
        box.type("too few <i>words")
        looked.expect(looked.page.locator(".hits p")).to_contain_text("1 place")
        box.press("Enter")
        sample = looked.page.locator(".sample.found")
        looked.expect(sample).to_be_visible()
        looked.expect(sample).to_contain_text("too few <i>words</i>")
        box.fill("nothing of this kind")
        looked.expect(looked.page.locator(".hits p")).to_have_text("0 places")
        box.press("Escape")
        looked.expect(looked.page.locator(".hits")).to_be_hidden()
        box.fill("alert(1)")  # a document of the run tries to run a script, in its text
        looked.page.keyboard.press("ArrowDown")
        looked.page.keyboard.press("Enter")
        looked.expect(looked.page.locator(".found")).to_have_count(1)


def test_a_run_of_many_sources_opens_at_once(browser: Any, large: Path) -> None:
    pages = sorted(large.parent.glob("*.html"))
    assert len(pages) == 10
    assert large.stat().st_size < 500_000
    assert max(path.stat().st_size for path in pages) < MOST
    with looking(browser, large.as_uri(), SIZES[2]) as looked:
        assert overflow(looked.page) == []
        assert looked.page.locator(".multiples > li").count() == 24
        assert looked.page.locator("#sources ~ .scroll tbody th").count() == LARGEST
        looked.page.locator("input[type=search]").fill("source-of-the-web-0137")
        looked.page.locator(".hits a[href*='sources-6.html']").click()
        looked.expect(looked.page).to_have_url(re.compile(r"/sources-6\.html#source-138$"))
        looked.expect(looked.page.locator("details.source[open] caption").first).to_be_visible()
        assert overflow(looked.page) == []
        looked.page.get_by_role("link", name="made").first.click()
        looked.expect(looked.page).to_have_url(re.compile(rf"/{re.escape(FIRST)}$"))


def test_many_reasons_are_on_a_page_of_their_own(browser: Any, figures: Report, tmp_path: Path) -> None:
    pages = render_pages(many_sources(figures, sources=40, reasons=500))
    assert all(f"reason_{k:05d}_of_a_rule" in pages[REMOVED] for k in range(500))
    assert sorted(pages) == [REMOVED, FIRST, "sources-1.html", "sources-2.html"]
    for name, page in pages.items():
        (tmp_path / name).write_text(page, "utf-8")
    with looking(browser, (tmp_path / FIRST).as_uri(), SIZES[0]) as looked:
        looked.page.get_by_role("link", name="All 50").click()
        looked.expect(looked.page).to_have_url(re.compile(rf"/{re.escape(REMOVED)}$"))
        assert overflow(looked.page) == []
        assert findings_of_axe(looked.page) == []
        looked.page.get_by_role("link", name="made").first.click()
        looked.expect(looked.page).to_have_url(re.compile(rf"/{re.escape(FIRST)}$"))


def test_each_source_stands_in_a_table_once(figures: Report) -> None:
    pages = render_pages(many_sources(figures, sources=150, reasons=10))
    names = [f"source-of-the-web-{number:04d}" for number in range(150)]
    rows = [f'<th scope="row">{name}</th>' for name in names]  # of the tables of mixture and languages
    assert "the 60 with most documents, of 15" in pages[FIRST]
    assert "the 60 sources with most tokens" in pages[FIRST]
    parts = [page for name, page in pages.items() if name.startswith("sources-")]
    assert all(sum(row in page for page in parts) == 1 for row in rows)
    assert "All 15" in pages[FIRST]
    assert all(f">{name}</a>" in pages[FIRST] for name in names)


def test_what_was_many_once_leaves_no_pages(copy_of: Callable[[], RunFolder]) -> None:
    run = copy_of()
    place = run.path / "report"
    place.mkdir(exist_ok=True)
    for name in (REMOVED, "sources-3.html"):
        (place / name).write_text("old")
    build_report(run)
    assert sorted(path.name for path in place.iterdir()) == [FIRST, "report.json"]
