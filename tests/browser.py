"""Debian's chromium, driven by playwright: for tests that look at pages as people do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

SIZES = ((390, 844), (820, 1180), (1440, 900))
_QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; a test without it is skipped."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium is installed, so that pages are not looked at in a browser")
    arguments = [*_QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Looked:
    """A page in the browser, and what it and the network said while it was open."""

    page: Any
    expect: Any  # of playwright: waits until an assertion holds, as pages change after a click returns
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def looking(
    browser: Any, url: str, size: tuple[int, int], scheme: Literal["light", "dark"] = "light"
) -> Iterator[Looked]:
    """The page at `url`; fails where it logs an error, or asks for what is not below its own address."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
    expect.set_options(timeout=60_000)
    try:
        looked = Looked(context.new_page(), expect)
        looked.page.on("pageerror", lambda error: looked.said.append(str(error)))
        looked.page.on(
            "console",
            lambda message: (
                looked.said.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        looked.page.on("request", lambda request: looked.asked.append(request.url))
        looked.page.goto(url)
        yield looked
        assert looked.said == []
        base = url.rpartition("/")[0]
        assert [one for one in looked.asked if not one.startswith(base)] == []
    finally:
        context.close()


OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > wide + 1 && !one.closest(".scroll, pre, .side ul"))
    .map((one) => `${one.tagName} ${one.outerHTML.slice(0, 80)}`).slice(0, 10);
}"""


def overflow(page: Any) -> list[str]:
    """Elements that are wider than the page, none where it needs no horizontal scrolling."""
    found: list[str] = page.evaluate(OVERFLOW)
    return found


def findings_of_axe(page: Any) -> list[str]:
    """Serious and critical findings of axe-core, as lines."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    results = axe.Axe().run(page)
    return [
        f"{found['impact']} {found['id']}: {node['target']} {node['failureSummary']}"
        for found in results.response["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"][:3]
    ]
