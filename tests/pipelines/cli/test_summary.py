"""What `run` and `sample` print at their end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

import corpusmill
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.cli.sample_table import render_sample
from corpusmill.pipelines.cli.summary import (
    HeldOutFiles,
    RunSummary,
    ShardsMade,
    SourceDone,
    StepDone,
    StepMade,
    summary_json,
)
from corpusmill.pipelines.cli.summary_rendering import render_summary
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts, MixtureSource, Shortfall
from corpusmill.pipelines.records.mixture_plan import GroupPlan, HeldOutPlan, PhasePlan
from corpusmill.pipelines.report.figures import Finding

FOUND = RunSummary(
    run="/somewhere/run",
    report="/somewhere/run/report/report.html",
    seconds=71.0,
    steps=(StepDone("a", 1200, 1000, False, 1.0), StepDone("b", 3, 0, True, 0.0)),
    sources={
        "web": SourceDone(
            read=10_000,
            left=4_000,
            removed={"a.x": 3_000, "b.y": 2_000, "c.z": 900, "d.w": 90},
            quarantined={"read.broken": 10},
            cut={"e.again": 1_500, "e.more": 2_000},
        ),
        "benchmarks": SourceDone(5, 5, {}, {}, {}),
    },
    held_out=None,
    mixture=None,
    stale=(),
    findings=(),
    beside=("benchmarks",),
    repaired=None,
    tokenizer=None,
    shards=None,
    train=None,
    long_context=(),
)


def test_sources_come_with_their_commonest_reasons() -> None:
    lines = render_summary(FOUND).splitlines()
    row = next(line for line in lines if line.startswith("web"))
    assert row.split() == ["web", "10,000", "5,990", "10", "4,000", "40.0%"]
    assert lines[lines.index(row) + 1] == "    a.x 3,000, b.y 2,000, c.z 900, 2 more"
    assert lines[lines.index(row) + 2] == "    cut from documents left: e.more 2.0 kB, e.again 1.5 kB"
    assert any(line.startswith("(benchmarks)") for line in lines)
    assert "1,000 of 1,203 units done now in 1 min 11 s" in lines
    assert lines[-1] == "report    /somewhere/run/report/report.html"


def test_one_reason_more_than_shown_is_named() -> None:
    web = FOUND.sources["web"]
    removed = {"a.x": 3000, "b.y": 2000, "c.z": 900, "d.w": 90}
    found = replace(FOUND, sources={"web": replace(web, removed=removed, quarantined={})})
    assert "    a.x 3,000, b.y 2,000, c.z 900, d.w 90" in render_summary(found).splitlines()


def test_shares_are_asked_and_got() -> None:
    web = MixtureSource(
        available_tokens=1_000,
        available_documents=9,
        requested_share=0.5,
        requested_tokens=5_000,
        achieved_tokens=4_000,
        achieved_share=0.4,
        achieved_documents=9,
        epochs=4.0,
        shortfall="5,000 tokens asked, 4,000 drawn: \x1b[31m",
        cause="max_epochs",
        cut=(),
    )
    warnings = [Finding("warning", f"w{k}", "loud") for k in range(9)]
    warnings.append(Finding("warning", "mixture: web", str(web.shortfall)))
    nothing = replace(web, available_tokens=0, achieved_share=None, epochs=None, shortfall=None)
    sources = {"web": web, "code": replace(web, shortfall=None), "none": nothing}
    missed = (Shortfall("web", "max_epochs", str(web.shortfall)),)
    mixture = MixtureFacts(
        "mixture", 10_000, 8_000, 18, 4.0, HeldOutPlan(0, 0, 0.0, {}, 0), sources, (), missed
    )
    text = render_summary(replace(FOUND, mixture=mixture, findings=tuple(warnings)))
    lines = text.splitlines()
    assert ["web", "1,000", "4,000", "50.0%", "40.0%", "4.00"] in [line.split() for line in lines]
    assert ["none", "0", "4,000", "50.0%", "-", "-"] in [line.split() for line in lines]
    # Said once, below the table, however many other warnings there are.
    assert [line for line in lines if "asked, " in line] == [
        "web: 5,000 tokens asked, 4,000 drawn: \\u001b[31m"
    ]
    assert "and 1 more warnings in the report" in lines


def test_groups_of_a_mixture_are_shown_in_brief() -> None:
    def group(*values: str) -> GroupPlan:
        return GroupPlan(("source", "lang")[: len(values)], values, len(values) == 1, 0.5, 10, 9, 8, 0.4, 2.0,
                         None, None)  # fmt: skip

    groups = (group("web"), *(group("web", f"l{number:02d}") for number in range(14)))
    phases = tuple(PhasePlan(name, 10, 8, 3, 40, groups, None) for name in ("main", "last"))
    mixture = MixtureFacts("mixture", 20, 16, 6, 4.0, HeldOutPlan(0, 0, 0.0, {}, 0), {}, phases, ())
    lines = render_summary(replace(FOUND, mixture=mixture)).splitlines()
    assert ["web", "/", "l10", "8", "50.0%", "40.0%", "2.00"] in [line.split() for line in lines]
    assert not any("l11" in line for line in lines)
    assert lines.count("and 3 more groups: corpusmill inspect mixture /somewhere/run") == 2
    assert [line.split()[:2] for line in lines if line.startswith("phase")] == [
        ["phase", "main"],
        ["phase", "last"],
    ]


def test_warnings_are_shown_and_notes_are_not() -> None:
    findings = [Finding("fault", "ledger", "off by one")]
    findings += [Finding("warning", f"w{k}", "odd \x1b[31m") for k in range(9)]
    findings += [Finding("note", "n", "by the way")]
    lines = render_summary(replace(FOUND, findings=tuple(findings))).splitlines()
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
    apart = HeldOutFiles(("/somewhere/heldout-00000.arrow",), documents=7, tokens=1_234)
    files = ("/somewhere/shard-00000.arrow",)
    shards = ShardsMade(files, apart, documents=90, tokens=5_678, padding=3, rows=20)
    lines = render_summary(replace(FOUND, shards=shards)).splitlines()
    first = lines.index("shards    1 file, 20 rows, 5,678 tokens of 90 documents, 3 padding")
    assert lines[first + 1 : first + 3] == [
        "          in /somewhere",
        "          1,234 tokens of 7 documents held out beside them",
    ]
    shards = replace(shards, held_out=HeldOutFiles((), 0, 0))
    assert not any("held out" in line for line in render_summary(replace(FOUND, shards=shards)).splitlines())


def test_the_json_has_what_steps_say_beside_where_they_lie() -> None:
    said = {"first_loss": 9.0, "steps": 3}
    phases = (StepMade("long.0", "/l/data", {"context": 64}), StepMade("long.1", "/m/data", {"context": 128}))
    printed = summary_json(replace(FOUND, train=StepMade("train", "/t/data", said), long_context=phases))
    assert printed["train"] == {"folder": "/t/data", "first_loss": 9.0, "steps": 3}
    assert printed["long_context"][1] == {"step": "long.1", "folder": "/m/data", "context": 128}
    assert printed["mixture"] is None
    assert printed["sources"]["benchmarks"]["removed"] == {}
    assert not {"repaired", "tokenizer", "shards"} & set(printed)


def test_the_version_is_told() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"corpusmill {corpusmill.__version__}\n")
