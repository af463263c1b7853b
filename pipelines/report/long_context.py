"""What the long-context phases showed: loss by position, and needles found before and after."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from corpusmill.pipelines.contract.given import LONGER_CONTEXT
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.report import charts, heat_map
from corpusmill.pipelines.storage.sealed import read_json

_CURVES = (
    ("before", "as it was", "b"),
    ("stretched", "stretched, untrained", "d"),
    ("after", "trained", "a"),
)


def long_context(record: RunRecord) -> list[Json]:
    """Every finished phase in order: `step`, `options`, `summary`, and the content of long_context.json."""
    found = []
    for step in record.giving(LONGER_CONTEXT):
        measured = read_json(step.data.file("long_context.json"))
        options, summary = step.stages[-1].options, step.units[0].summary
        found.append({"step": step.name, "options": options, "summary": summary, **measured})
    return found


def long_context_view(phases: list[Json]) -> list[dict[str, Any]]:
    """Markup of every phase by name; None where nothing was measured."""
    return [{**_positions(phase), **_needles(phase)} for phase in phases]


def _positions(phase: Json) -> dict[str, Markup | None]:
    held = phase["by_position"]
    if held is None or len(held["after"]) < 2:
        return {"positions": None, "positions_legend": None}
    places = [part["to"] for part in held["after"]]
    shown = [(name, words, css) for name, words, css in _CURVES if held[name] is not None]
    series = [(words, [part["nats_per_token"] for part in held[name]], css) for name, words, css in shown]
    label = f"held-out loss by tokens before the target, {phase['step']}"
    marks = [(f"pre-trained on {phase['context'][0]:,}", phase["context"][0], _at(held["after"], phase))]
    chart = charts.growth(places, series, marks, label, "tokens before the target (logarithmic)")
    return {
        "positions": chart,
        "positions_legend": charts.legend([(css, words) for _, words, css in shown]),
    }


def _at(parts: list[Json], phase: Json) -> float:
    """Loss of the last part within the context that was pre-trained on."""
    inside = [part for part in parts if part["to"] <= phase["context"][0]] or parts[:1]
    return float(inside[-1]["nats_per_token"])


def _needles(phase: Json) -> dict[str, Any]:
    """How much less a needle's value costs than without the needle, by depth and length, as a heat map."""
    held = phase["needles"]
    if held is None:
        return {"needles": [], "needles_found": None}
    maps = []
    for name, words in (("before", "before"), ("after", "after")):
        scores = held[name]
        lengths = sorted({score["length"] for score in scores})
        depths = sorted({score["depth"] for score in scores})
        value = {(score["depth"], score["length"]): score for score in scores}
        rows = [
            [value[depth, length]["loss_without"] - value[depth, length]["loss"] for length in lengths]
            for depth in depths
        ]
        titles = [
            [
                f"depth {depth:.0%} of {length:,} tokens: {one['loss']:.2f} nats a token with the needle, "
                f"{one['loss_without']:.2f} without; found {one['retrieved']:.0%}"
                for length in lengths
                for one in (value[depth, length],)
            ]
            for depth in depths
        ]
        label = f"needles {words} {phase['step']}"
        names = [f"{depth:.0%} deep" for depth in depths]
        columns = [f"{length:,}" for length in lengths]
        maps.append((words, heat_map.signed(rows, names, columns, titles, label)))
    after = held["after"]
    trials = sum(score["trials"] for score in after)
    found = sum(score["retrieved"] * score["trials"] for score in after)
    return {"needles": maps, "needles_found": (round(found), trials)}
