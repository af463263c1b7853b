"""The live page as people see it, in Debian's chromium."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from corpusmill.pipelines.serve.server import Server
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.browser import SIZES, chromium, findings_of_axe, looking, overflow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def url(run: RunFolder) -> Iterator[str]:
    with Server(run) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("size", "scheme"), [(SIZES[0], "dark"), (SIZES[1], "light"), (SIZES[2], "dark")])
def test_it_fits_and_can_be_read_by_all(browser: Any, url: str, size: tuple[int, int], scheme: Any) -> None:
    with looking(browser, url, size, scheme) as looked:
        looked.page.locator("#finished summary").click()
        looked.page.locator("#done-rows tr").first.wait_for()
        assert looked.page.locator("h1").inner_text() == "made"
        looked.expect(looked.page.locator("#state")).to_have_text("ended")
        looked.expect(looked.page.locator("#finished")).to_be_visible()
        shown = [looked.page.locator(f"#{name}").is_visible() for name in ("working", "finished", "coming")]
        assert shown == [False, True, False]
        looked.expect(looked.page.locator("#samples pre").first).to_be_visible()
        assert overflow(looked.page) == []
        assert findings_of_axe(looked.page) == []


def test_questions_are_answered_in_the_page(browser: Any, url: str) -> None:
    with looking(browser, url, SIZES[2]) as looked:
        text, answer = looked.page.locator("#text"), looked.page.locator("#answer")
        text.fill("select id, text from removed_nothing")
        text.press("Control+Enter")
        answer.locator(".fault").wait_for()
        looked.expect(answer).to_contain_text("tables: documents")
        text.fill("select id, '<b>' as tag from documents order by id limit 2")
        looked.page.locator("button").click()
        looked.expect(answer.locator("caption")).to_have_text("2 rows")
        cells = answer.locator("tbody td").all_inner_texts()
        assert cells[1] == "<b>"
        looked.page.locator("label[for=kind-explain]").click()
        looked.expect(text).to_have_value("")
        text.fill(cells[0])
        looked.page.locator("button").click()
        answer.locator("pre").wait_for()
        looked.expect(answer).to_contain_text(cells[0])


def test_the_report_of_the_run_so_far_is_one_link_away(browser: Any, url: str) -> None:
    with looking(browser, url, SIZES[2]) as looked:
        looked.page.get_by_role("link", name="Report").click()
        looked.page.locator("h2#funnel").wait_for()
        looked.expect(looked.page).to_have_url(url + "report.html")
