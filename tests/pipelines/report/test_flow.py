"""The flow from raw input to shards, tokens by language, and texts that are kept, before they are drawn."""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from corpusmill.pipelines.report.accounts import FunnelRow, ReasonCount
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.distributions import _tokens_by_language
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.report.flow import BANDS, COLUMNS, OTHERS, Flow, flows
from corpusmill.pipelines.report.losses import sample_stages
from corpusmill.pipelines.report.multiples import language_table
from corpusmill.pipelines.report.sankey import picture
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.report.many_sources import made_step, many_sources


@pytest.fixture(scope="module")
def figures(run: RunFolder) -> Report:
    return gather(run)


def by_unit(report: Report) -> dict[str, Flow]:
    return {flow.unit: flow for flow in flows(report)}


def test_what_is_read_is_what_is_lost_and_what_is_left(figures: Report) -> None:
    found = by_unit(figures)
    totals = figures.totals
    for unit, read, left in (
        ("documents", totals.documents_read, totals.documents_left),
        ("bytes", totals.bytes_read, totals.bytes_left),
    ):
        columns = found[unit].columns
        assert (columns[0].came, columns[-1].came) == (read, left)
        assert read == left + sum(sum(column.lost.values()) for column in columns[:-1])
        for column in columns[:-1]:
            went = sum(band.went for band in column.bands)
            assert column.came == went + sum(column.lost.values())
    assert found["documents"].sources == ("web", "code")
    assert [column.name for column in found["documents"].columns[-3:]] == [
        "dedup.exact",
        "decontaminate",
        "left",
    ]


def test_tokens_flow_from_encoding_to_the_shards(figures: Report) -> None:
    assert figures.mixture is not None
    assert figures.packing is not None
    encoded, drawn, packed = by_unit(figures)["tokens"].columns
    apart = figures.mixture.held_out.tokens
    assert encoded.came == figures.totals.tokens_available + apart
    assert encoded.lost["held out"] == apart
    assert drawn.came == figures.mixture.achieved_tokens
    assert packed.came == sum(source.tokens for source in figures.packing.sources.values())


def test_many_sources_are_one_band_and_many_steps_few_columns(figures: Report) -> None:
    many = many_sources(figures, sources=20, reasons=100)
    documents = by_unit(many)["documents"]
    assert len(documents.sources) == BANDS + 1
    assert documents.sources[-1] == OTHERS
    names = [f"late.{k}" for k in range(12)]
    (source, rows), *_ = many.funnel.items()
    late = [_losing(rows[-1], name, 10 * (k + 1)) for k, name in enumerate(names)]
    steps = (*many.steps, *map(made_step, names))
    longer = replace(many, steps=steps, funnel={**many.funnel, source: (*rows, *late)})
    columns = by_unit(longer)["documents"].columns
    assert len(columns) == COLUMNS + 1
    lost = sum(sum(column.lost.values()) for column in columns)
    before = sum(sum(column.lost.values()) for column in documents.columns)
    assert lost == before + sum(10 * (k + 1) for k in range(12))
    assert before == 20 * 10_000 + 37 * sum(range(20)) - documents.columns[-1].came


def _losing(row: FunnelRow, step: str, documents: int) -> FunnelRow:
    came = row.documents_kept
    return replace(
        row,
        step=step,
        documents_in=came,
        documents_kept=came - documents,
        removed=(ReasonCount("late", documents, 900 * documents),),
    )


def test_no_ribbon_leaves_its_picture(figures: Report) -> None:
    for report in (figures, many_sources(figures, sources=20, reasons=100)):
        for flow in flows(report):
            for drawn in (picture(flow).wide, picture(flow).narrow):
                width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', str(drawn))[0])
                for path in re.findall(r' d="([^"]*)"', str(drawn)):
                    first = re.findall(r"M([\d.]+) ([\d.]+)C.* ([\d.]+) ([\d.]+)Z", path)[0]
                    assert all(0 <= float(x) <= width for x in first[::2])
                    assert all(0 <= float(y) <= height for y in first[1::2])


def test_kept_texts_stand_beside_removed_ones_with_the_scores_of_the_stage(figures: Report) -> None:
    assert {sample.source for sample in figures.kept_samples} == {"web", "code"}
    removed = {sample.id for sample in figures.removed_samples}
    assert not removed & {sample.id for sample in figures.kept_samples}
    (judged,) = [one for one in sample_stages(figures) if one.stage == "enough_words" and one.step == "web"]
    assert judged.kept
    assert {sample.source for sample in judged.kept} == {"web"}
    assert all(sample.scores["words"] >= 8 for sample in judged.kept)


def test_tokens_are_counted_by_language(figures: Report) -> None:
    lang = pa.array(["en", None, "zh", "en"], pa.string())
    counted = _tokens_by_language(lang, pa.array([1, 2, 4, 8]).to_numpy())
    assert counted == {"en": 9, "(unknown)": 2, "zh": 4}
    assert language_table(figures.distributions) is None  # no document of the run has a language
    (name, one), *_ = figures.distributions.items()
    table = language_table({name: replace(one, language_tokens=counted)})
    assert table is not None
    assert table.languages == ("en", "zh", "(unknown)")
    assert table.rows == ((name, 15, ((9, 6), (4, 3), (2, 2)), 0),)
