"""The training section as the page shows it: charts, their legends, and rows of tables."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.report import charts, heat_map

COLOURS = ("a", "b", "c", "d", "e", "f")  # classes of the style sheet
_LAYERS = 6  # shown, evenly spaced
_BARS = {"model": "model", "ema": "averaged weights", "bigram": "bigram", "unigram": "unigram"}


def training_view(training: Json) -> dict[str, Any]:
    """Markup by name; what there are no figures for is None."""
    curves = training["curves"]
    return {
        **_loss(training),
        "learning_rate": charts.curve(
            curves["step"],
            [("learning rate", curves["learning_rate"], "a")],
            [("0", 0.0)],
            "learning rate by step",
            "step",
        )
        if any(curves["learning_rate"])
        else None,
        **_balance(training),
        **_held_out(training),
        **_specialisation(training["routing"]),
    }


def _loss(training: Json) -> dict[str, Any]:
    curves, summary = training["curves"], training["summary"]
    series = [("loss of the next token", curves["loss"], "a")]
    if any(curves["mtp_loss"]):
        series.insert(0, ("loss of the token after next", curves["mtp_loss"], "b"))
    references = [
        (f"uniform guess, ln V = {summary['ln_vocab']:.2f}", summary["ln_vocab"]),
        (f"unigram entropy = {summary['unigram_entropy']:.2f}", summary["unigram_entropy"]),
    ]
    return {
        "loss": charts.curve(curves["step"], series, references, "training loss by step", "step"),
        "loss_legend": charts.legend([("a", "next token"), ("b", "token after next (MTP)")]),
    }


def _balance(training: Json) -> dict[str, Any]:
    steps, experts = training["curves"]["step"], training["experts"]
    found: dict[str, Any] = {"load_entropy": None, "layers_legend": None, "loads": []}
    series = [("largest violation", training["curves"]["max_expert_violation"], "a")]
    if experts is not None:
        layers = training["routing"]["layers"] if training["routing"] is not None else None
        names = layers or [f"mixture layer {k + 1}" for k in range(len(experts["entropy"]))]
        shown = _spread(len(names))
        coloured = list(zip(shown, COLOURS, strict=False))
        series = [(names[k], experts["max_violation"][k], css) for k, css in coloured]
        entropy = [(names[k], experts["entropy"][k], css) for k, css in coloured]
        label = "entropy of expert load by step"
        found["load_entropy"] = charts.curve(steps, entropy, [("even load", 1.0)], label, "step")
        found["layers_legend"] = charts.legend([(css, names[k]) for k, css in coloured])
        found["loads"] = [
            (name, *(experts[measure][k][-1] for measure in ("max_violation", "mean_violation", "entropy")))
            for k, name in enumerate(names)
        ]
    label = "expert load imbalance by step"
    found["balance"] = charts.curve(steps, series, [("even load", 0.0)], label, "step")
    return found


def _spread(count: int) -> list[int]:
    """At most `_LAYERS` of `count` places, the first and the last among them."""
    if count <= _LAYERS:
        return list(range(count))
    return [round(k * (count - 1) / (_LAYERS - 1)) for k in range(_LAYERS)]


def _name(source: str) -> str:
    return "all sources" if source == "*" else source


def _held_out(training: Json) -> dict[str, Any]:
    """Bits per byte by source and by step, beside the baselines', and the loss by position."""
    found: dict[str, Any] = {"bits_rows": [], "bars": [], "bits": None, "bits_legend": None, "position": None}
    evaluation, looks = training["evaluation"], training["held_out"]
    if evaluation is None or evaluation["scores"] is None:
        return found
    scores = evaluation["scores"]
    bars = [name for name in _BARS if name in scores]
    found["bars"] = [_BARS[name] for name in bars]
    for source, score in scores["model"].items():
        bits = [scores[name].get(source, {}).get("bits_per_byte") for name in bars]
        found["bits_rows"].append({"name": _name(source), "whole": source == "*", "bits": bits, **score})
    if looks is not None and len(looks["step"]) > 1:
        whole = {name: scores[name]["*"]["bits_per_byte"] for name in ("bigram", "unigram")}
        order = sorted(
            looks["bits_per_byte"], key=lambda name: (-scores["model"].get(name, {"bytes": 0})["bytes"], name)
        )
        held = {name: looks["bits_per_byte"][name] for name in order}
        known = [(name, values) for name, values in held.items() if all(v is not None for v in values)]
        series = [(_name(name), values, css) for (name, values), css in zip(known, COLOURS, strict=False)]
        references = [(f"{name}, all sources = {value:.2f}", value) for name, value in whole.items() if value]
        label = "held-out bits per byte by step"
        found["bits"] = charts.curve(looks["step"], series, references, label, "step")
        found["bits_legend"] = charts.legend([(css, name) for name, _, css in series])
    positions = evaluation["by_position"]
    if len(positions) > 1:
        places = [part["to"] for part in positions]
        series = [("loss", [part["nats_per_token"] for part in positions], "a")]
        label = "held-out loss by tokens before the target"
        found["position"] = charts.growth(places, series, [], label, "tokens before the target (logarithmic)")
    return found


def _specialisation(routing: Json | None) -> dict[str, Any]:
    if routing is None or not routing["sources"]:
        return {"specialisation": [], "heat_legend": None}
    maps = []
    for k in _spread(len(routing["layers"])):
        name = routing["layers"][k]
        experts = [str(e) for e in range(len(routing["over_even"][k][0]))]
        label = f"experts of {name} by source"
        drawn = heat_map.heat_map(routing["over_even"][k], routing["sources"], experts, label)
        maps.append((name, routing["information"][k], drawn))
    return {"specialisation": maps, "heat_legend": heat_map.legend()}
