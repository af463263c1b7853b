"""The section of the long-context phases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpusmill.pipelines.records.codec import Json, decode
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.long_context import LongContextPhase, LongContextView, long_context_view
from corpusmill.pipelines.report.page import render_page
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.inspection import made_run as made


def curve(loss: float) -> list[Json]:
    return [{"from": n, "to": n, "tokens": 9, "nats_per_token": loss - n / 100} for n in (1, 2, 256, 1024)]


def needles(loss: float, retrieved: float) -> list[Json]:
    return [
        {
            "length": length,
            "depth": depth,
            "trials": 4,
            "retrieved": retrieved,
            "loss": loss,
            "loss_without": 7.0,
        }
        for length in (256, 1024)
        for depth in (0.0, 0.5)
    ]


@pytest.fixture
def phase() -> LongContextPhase:
    value = {
        "step": "long_context.0",
        "options": {},
        "summary": {
            **made.SUMMARY,
            "steps": 40,
            "tokens": 123456,
            "first_loss": 6.5,
            "last_loss": 6.25,
            "factor": 16.0,
        },
        "context": [256, 1024],
        "rope_scaling": {"factor": 16.0},
        "by_position": {"before": curve(6.0), "stretched": curve(6.1), "after": curve(5.9)},
        "needles": {"before": needles(8.0, 0.0), "after": needles(4.0, 0.5)},
    }
    return decode(LongContextPhase, value, "made")


def test_the_page_shows_every_phase(run: RunFolder, phase: LongContextPhase) -> None:
    figures = gather(run)
    assert figures.long_context == ()
    assert 'id="long-context"' not in render_page(figures)
    assert phase.by_position is not None
    untouched = replace(phase.by_position, stretched=None)
    second = replace(phase, step="long_context.1", needles=None, by_position=untouched)
    html = render_page(replace(figures, long_context=(phase, second)))
    assert html.count("Held-out loss by position") == 2
    assert html.count("Needle in a haystack") == 2
    assert html.count("Given back word for word: 8 of 16") == 1
    assert "YaRN 16 times" in html
    assert html.count("stretched, untrained") == 2  # a curve's title and the legend, of the first alone
    assert "depth 50% of 1,024 tokens: 4.00 nats a token with the needle, 7.00 without; found 50%" in html


def test_colours_follow_what_a_needle_saves(phase: LongContextPhase) -> None:
    (view,) = long_context_view([phase])
    before, after = (drawn for _, drawn in view.needles)
    assert before.count('class="removed" fill-opacity="0.33"') == 4
    assert after.count('class="kept" fill-opacity="1.00"') == 4


def test_nothing_measured_is_nothing_shown(phase: LongContextPhase) -> None:
    (view,) = long_context_view([replace(phase, by_position=None, needles=None)])
    assert view == LongContextView()
