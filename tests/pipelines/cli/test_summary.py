"""What `run` and `sample` print at their end."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

import corpusmill
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.cli.sample_table import render_sample
from corpusmill.pipelines.cli.summary import render_summary
from corpusmill.pipelines.records.codec import Json


def found(**more: object) -> Json:
    return {
        "run": "/somewhere/run",
        "report": "/somewhere/run/report/report.html",
        "seconds": 71.0,
        "steps": [{"units": 1200, "done_now": 1000}, {"units": 3, "done_now": 0}],
        "sources": {
            "web": {
                "read": 10_000,
                "left": 4_000,
                "removed": {"a.x": 3_000, "b.y": 2_000, "c.z": 900, "d.w": 90},
                "quarantined": {"read.broken": 10},
                "cut": {"e.again": 1_500, "e.more": 2_000},
            },
            "benchmarks": {"read": 5, "left": 5, "removed": {}, "quarantined": {}, "cut": {}},
        },
        "beside": ["benchmarks"],
        "held_out": None,
        "mixture": None,
        "stale": [],
        "findings": [],
        **more,
    }


def test_sources_come_with_their_commonest_reasons() -> None:
    lines = render_summary(found()).splitlines()
    row = next(line for line in lines if line.startswith("web"))
    assert row.split() == ["web", "10,000", "5,990", "10", "4,000", "40.0%"]
    assert lines[lines.index(row) + 1] == "    a.x 3,000, b.y 2,000, c.z 900, 2 more"
    assert lines[lines.index(row) + 2] == "    cut from documents left: e.more 2.0 kB, e.again 1.5 kB"
    assert any(line.startswith("(benchmarks)") for line in lines)
    assert "1,000 of 1,203 units done now in 1 min 11 s" in lines
    assert lines[-1] == "report    /somewhere/run/report/report.html"


def test_shares_are_asked_and_got() -> None:
    web = {
        "available_tokens": 1_000,
        "achieved_tokens": 4_000,
        "requested_share": 0.5,
        "achieved_share": 0.4,
        "epochs": 4.0,
        "shortfall": "5,000 tokens asked, 4,000 drawn: \x1b[31m",
    }
    warnings = [{"level": "warning", "about": f"w{k}", "text": "loud"} for k in range(9)]
    warnings.append({"level": "warning", "about": "mixture: web", "text": web["shortfall"]})
    nothing = {**web, "available_tokens": 0, "achieved_share": None, "epochs": None, "shortfall": None}
    sources = {"web": web, "code": {**web, "shortfall": None}, "none": nothing}
    text = render_summary(found(mixture={"sources": sources}, findings=warnings))
    lines = text.splitlines()
    assert ["web", "1,000", "4,000", "50.0%", "40.0%", "4.00"] in [line.split() for line in lines]
    assert ["none", "0", "4,000", "50.0%", "-", "-"] in [line.split() for line in lines]
    # Said once, below the table, however many other warnings there are.
    assert [line for line in lines if "asked, " in line] == [
        "web: 5,000 tokens asked, 4,000 drawn: \\u001b[31m"
    ]
    assert "and 1 more warnings in the report" in lines


def test_warnings_are_shown_and_notes_are_not() -> None:
    findings = [{"level": "fault", "about": "ledger", "text": "off by one"}]
    findings += [{"level": "warning", "about": f"w{k}", "text": "odd \x1b[31m"} for k in range(9)]
    findings += [{"level": "note", "about": "n", "text": "by the way"}]
    lines = render_summary(found(findings=findings)).splitlines()
    assert "fault: ledger: off by one" in lines
    assert "warning: w0: odd \\u001b[31m" in lines
    assert "and 2 more warnings in the report" in lines
    assert not any("by the way" in line for line in lines)


def test_a_sample_is_summed_by_folder() -> None:
    files = {
        "code/a.jsonl": {"documents": 2, "text_bytes": 1_000, "bytes": 100},
        "code/b.jsonl": {"documents": 3, "text_bytes": 2_000, "bytes": 200},
        "web/a.warc.gz": {"documents": 1, "text_bytes": 4_000, "bytes": 400},
    }
    rows = [line.split() for line in render_sample(Path("s"), {"files": files, "packages": {}}).splitlines()]
    assert ["code", "2", "5", "3.0", "kB", "300", "B"] in rows
    assert ["all", "3", "6", "7.0", "kB", "700", "B"] in rows


def test_shards_held_out_are_not_counted_among_the_others() -> None:
    held_out: Json = {"files": ["/somewhere/heldout-00000.arrow"], "documents": 7, "tokens": 1_234}
    shards: Json = {"files": ["/somewhere/shard-00000.arrow"], "held_out": held_out}
    shards |= {"rows": 20, "tokens": 5_678, "documents": 90, "padding": 3}
    lines = render_summary(found(shards=shards)).splitlines()
    first = lines.index("shards    1 file, 20 rows, 5,678 tokens of 90 documents, 3 padding")
    assert lines[first + 1 : first + 3] == [
        "          in /somewhere",
        "          1,234 tokens of 7 documents held out beside them",
    ]
    shards["held_out"] = {"files": [], "documents": 0, "tokens": 0}
    assert not any("held out" in line for line in render_summary(found(shards=shards)).splitlines())


def test_the_version_is_told() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"corpusmill {corpusmill.__version__}\n")
