"""How good the tokenizer is: what it was judged by, its compression beside others', and how it grew."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.contract.given import JUDGEMENT, TOKENIZER
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.report import charts
from corpusmill.pipelines.storage.sealed import read_json

CURVES = ("a", "b", "c", "d", "e", "f")  # classes of the style sheet
_GROUPS = 12  # languages shown, the largest
_ROWS = 12  # of the growth table


def tokenizer(record: RunRecord) -> Json | None:
    """Verdict, thresholds, groups and growth of `acceptance.json`; None before the tokenizer is judged.

    `growth` is bytes per token on held-out text at every size told: `vocabulary` and `groups`, or
    `why_not`. `references` are what it was compared with: ids and bytes per token of all held-out text.
    """
    step = record.finished_giving(JUDGEMENT)
    if step is None:
        return None
    found = read_json(step.data.file("acceptance.json"))
    own = found["tokenizers"]["tokenizer"]
    return {
        "steps": [one.name for word in (TOKENIZER, JUDGEMENT) for one in record.giving(word)],
        "verdict": {name: found[name] for name in ("accepted", "documents", "bytes", "bytes_offered")},
        "held_out": found["held_out"],
        "judged": found["judged"],
        "groups": found["groups"],
        "vocabulary": own["vocabulary"],
        "usage": own["usage"],
        "round_trip": own["round_trip"],
        "suspicious": own["suspicious"],
        "digits": own["digits"]["examples"]["1234567"],
        "growth": own["growth"],
        "references": {
            name: {"ids": held["vocabulary"]["ids"], "groups": held["groups"]}
            for name, held in found["tokenizers"].items()
            if name != "tokenizer"
        },
    }


def tokenizer_parts(record: RunRecord) -> Json:
    """By tokenizer, parts of its file that are not used (`dropped`) and that change texts (`lossy`).

    `tokenizer` is the run's own, which has the former alone, and the others are its references.
    """
    step = record.finished_giving(TOKENIZER)
    units = step.units if step is not None else []
    own = [part for unit in units for part in unit.summary.get("dropped", [])]
    parts = {"tokenizer": {"dropped": own, "lossy": []}}
    judge = record.finished_giving(JUDGEMENT)
    if judge is not None:
        for name, held in read_json(judge.data.file("acceptance.json"))["tokenizers"].items():
            if name != "tokenizer":
                parts[name] = {key: held.get(key, []) for key in ("dropped", "lossy")}
    return {name: held for name, held in parts.items() if any(held.values())}


def tokenizer_view(found: Json) -> dict[str, Any]:
    """What the page shows of it: the chart, its legend, and rows of tables."""
    growth = found["growth"]
    groups = found["groups"]
    drawn = _curves(growth, groups) if growth is not None and growth["why_not"] is None else []
    names = [name for name, _, _ in drawn]
    view: dict[str, Any] = {"rows": _rows(found), "growth_names": names, "growth": None}
    if drawn:
        points = [
            (name, held["ids"], held["groups"][0]["bytes_per_token"])
            for name, held in found["references"].items()
            if held["groups"]
        ]
        label = "bytes per token on held-out text by vocabulary size"
        axis = "entries of the vocabulary (logarithmic)"
        view["growth"] = charts.growth(growth["vocabulary"], drawn, points, label, axis)
        view["legend"] = charts.legend([(css, _name(name)) for name, _, css in drawn])
        view["sizes"] = _sizes(growth, names)
    return view


def _name(group: str) -> str:
    return "all sources" if group == "*" else group


def _curves(growth: Json, groups: list[Json]) -> list[tuple[str, list[float], str]]:
    """The whole and the largest sources, as many as there are colours."""
    order = sorted(groups, key=lambda group: (-group["bytes"], group["group"]))
    names = [group["group"] for group in order if group["group"] in growth["groups"]]
    return [(name, growth["groups"][name], css) for name, css in zip(names, CURVES, strict=False)]


def _sizes(growth: Json, names: list[str]) -> list[tuple[int, list[float]]]:
    last = len(growth["vocabulary"]) - 1
    chosen = sorted({round(k * last / (_ROWS - 1)) for k in range(_ROWS)})
    return [(growth["vocabulary"][at], [growth["groups"][name][at] for name in names]) for at in chosen]


def _rows(found: Json) -> list[Json]:
    """The whole, every source, and the largest languages, with the references' bytes per token."""
    theirs = {
        name: {group["group"]: group["bytes_per_token"] for group in held["groups"] or []}
        for name, held in found["references"].items()
    }
    chosen = [group for group in found["groups"] if group["by"] in ("all", "source")]
    for by in ("language", "code language"):
        held = [g for g in found["groups"] if g["by"] == by and g["group"].startswith("*/")]
        chosen += sorted(held, key=lambda group: (-group["bytes"], group["group"]))[:_GROUPS]
    return [
        {
            **group,
            "name": _name(group["group"]).removeprefix("*/"),
            "others": {name: values.get(group["group"]) for name, values in theirs.items()},
        }
        for group in chosen
    ]
