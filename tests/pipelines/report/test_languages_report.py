"""What became of each language, on the page and among the findings."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from corpusmill.pipelines.inspection.language_facts import languages_of
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.records.ledger import Entry
from corpusmill.pipelines.report import findings
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.page import render_page
from corpusmill.pipelines.storage.run_folder import RunFolder


def test_languages_are_a_table_and_what_was_not_judged_is_named(run: RunFolder) -> None:
    report = gather(run)
    assert report.languages == {}  # no document of the run has a language
    entry = Entry("short <b>", "web", 7, 70, 4, 40, 40)
    entry.remove("too <i>short", 3, 30)
    for language in ("<u>ja", "pl"):
        entry.language(language).keep(2, 20)
    entry.language("pl").unjudged = 2
    entry.language("<u>ja").removed["too <i>short"] = (2, 20)
    report = replace(report, languages={"web": languages_of([entry.record()])})
    html = render_page(report)
    cells = html.partition('<h2 id="languages">')[2].partition("<h2 ")[0]
    rows = [re.sub(r"<[^>]*>", "|", row) for row in cells.splitlines() if row.startswith("<tr>")]
    assert [[cell for cell in row.split("|") if cell][:4] for row in rows] == [
        ["&lt;u&gt;ja", "4", "40 B", "2"],
        ["pl", "2", "20 B", "2"],
        ["(none)", "1", "10 B", "0"],
    ]
    assert "<p>Not judged by short &lt;b&gt;: pl 2.</p>" in cells
    assert "<u>" not in html
    (note,) = findings._unjudged(report)
    assert (note.level, note.about) == ("note", "web")
    assert "kept their documents without judging them: pl 2" in note.text
    assert decode(Report, json.loads(json.dumps(encode(report))), "report.json") == report


def test_limits_of_a_language_without_languages_are_warned_of(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, report = load_record(run), gather(run)
    assert not [f for f in findings.findings(record, report) if "Latin letters" in f.text]
    monkeypatch.setattr(findings, "_columns", lambda source: ["id", "text", "gopher.limits", "gopher.words"])
    found = [f for f in findings.findings(record, report) if "Latin letters" in f.text]
    assert [(f.level, f.about) for f in found] == [("warning", "code"), ("warning", "web")]
    assert "judged by the limits of gopher for the languages in `languages`" in found[0].text
