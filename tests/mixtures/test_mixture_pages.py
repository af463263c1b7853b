"""The recipes of docs/mixtures.md, run on documents of sites, licences and lengths."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.ipc as ipc
import pytest

from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.inspect import inspect
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.inspection.story import DrawnCopy
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.report.build import gather
from corpusmill.pipelines.report.page import render_page
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.tokenizer.shards.statistics import mixture_statistics
from tests.pipelines.run.test_increments import WORDS, run
from tests.test_docs import DOCS, blocks

PAGE = (DOCS / "mixtures.md").read_text("utf-8")
LICENCES = ("mit", "apache-2.0", None)


def write_documents(folder: Path) -> None:
    """web.jsonl (two sites) and code.jsonl (licences), each of 60 documents of 20 to 400 words."""
    draw = random.Random(4)

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randrange(20, 400))) + "."

    hosts = ("one.example", "two.example")
    web = [{"id": f"w{k}", "text": text(), "url": f"https://{hosts[k % 2]}/{k}"} for k in range(60)]
    code = [{"id": f"c{k}", "text": text(), "license": LICENCES[k % 3]} for k in range(60)]
    for name, rows in (("web", web), ("code", code)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")


def plan_of(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("steps/mixture/*/data/plan.json")
    plan: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return plan


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the first recipe of the page."""
    folder = tmp_path_factory.mktemp("grouped")
    write_documents(folder)
    path = folder / "recipe.yaml"
    path.write_text(blocks(PAGE, "yaml")[0], "utf-8")
    load_recipe(path)
    run(path, folder / "run")
    return folder / "run"


def test_groups_by_site_length_and_licence_are_exact_in_the_shards(grouped: Path) -> None:
    plan = plan_of(grouped)
    groups = {tuple(one["values"]): one for one in plan["phases"][0]["groups"]}
    assert {values: one["tokens"] for values, one in groups.items() if len(values) == 2} == {
        ("web", "one.example"): 3_500,
        ("web", "*"): 10_500,
        ("code", "mit"): 3_000,
        ("code", "unknown"): 0,
        ("code", "*"): 3_000,
    }
    low, high = (groups["web", "*", bucket] for bucket in ("below 200", "from 200"))
    assert high["epochs"] == pytest.approx(2 * low["epochs"], rel=1e-2)
    tokens: Counter[str] = Counter()
    for path in sorted(grouped.glob("steps/pack/*/data/shard-*.arrow")):
        shard = open_shard(path)
        for row in range(shard.rows):
            for piece in shard.pieces(row):
                tokens[piece.source] += piece.length
    assert tokens == {"web": 14_000, "code": 6_000}


def test_groups_are_shown_with_what_they_give(grouped: Path) -> None:
    shown = render_inspection(inspect(grouped))
    assert "20,000 tokens of 20,000 asked" in shown
    (line,) = (line for line in shown.splitlines() if line.startswith("web / one.example"))
    assert line.split()[3] == "site"
    assert "17.5%" in line
    page = render_page(gather(RunFolder(grouped)))
    assert "Groups, tokens requested and achieved" in page
    assert ">one.example</th><td>site</td>" in page


def test_groups_of_less_than_a_token_are_told_once_in_the_report(grouped: Path) -> None:
    report = gather(RunFolder(grouped))
    assert report.mixture is not None
    (phase,) = report.mixture.phases
    small = [
        one if one.divided else replace(one, cause="rounding", shortfall="told of one")
        for one in phase.groups
    ]
    told = replace(report, mixture=replace(report.mixture, phases=(replace(phase, groups=tuple(small)),)))
    page = render_page(told)
    assert page.count("are less than one token each") == 1
    assert "told of one" not in page
    alone = replace(phase, groups=(small[-1],))
    page = render_page(replace(report, mixture=replace(report.mixture, phases=(alone,))))
    assert page.count("told of one") == 1


def test_languages_that_no_step_keeps_are_told_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: x\nsources:\n  web: {read: {jsonl: web.jsonl}, steps: [{language: {keep: [en, zh]}}]}\n"
        "tokenizer: {train: {}}\npack: {}\n"
        "mixture: {by: lang, weights: {en: 0.5, fr: 0.5, '*': 0}}\n",
        "utf-8",
    )
    with pytest.raises(
        InvalidRecipeError, match=r"recipe.yaml:6:\d+: mixture.weights.fr: no document.*keep en, zh"
    ):
        load_recipe(path)


def test_phases_are_in_shards_of_their_own_with_rows_of_their_length(tmp_path: Path) -> None:
    write_documents(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(blocks(PAGE, "yaml")[1], "utf-8")
    run(path, tmp_path / "run")
    plan = plan_of(tmp_path / "run")
    assert [one["tokens"] for one in plan["phases"]] == [18_000, 6_000, 6_000]
    tokens: Counter[tuple[str | None, str]] = Counter()
    lengths: dict[str | None, set[int]] = {}
    framed: Counter[str | None] = Counter()
    for file in sorted((tmp_path / "run").glob("steps/pack/*/data/shard-*.arrow")):
        shard = open_shard(file)
        name = shard.phase.name
        lengths.setdefault(name, set()).add(shard.sequence_length)
        for row in range(shard.rows):
            for piece in shard.pieces(row):
                tokens[name, piece.source] += piece.length
                framed[name] += piece.fim and piece.offset == 0  # what another phase began stays as it was
    assert lengths == {"main": {64}, "last": {64}, "long": {256}}
    assert tokens == {
        ("main", "web"): 12_600,
        ("main", "code"): 5_400,
        ("last", "web"): 1_500,
        ("last", "code"): 4_500,
        ("long", "code"): 6_000,
    }
    assert framed["last"] > framed["long"] == 0
    count_copies(sorted((tmp_path / "run").glob("steps/pack/*/data/shard-*.arrow")))
    assert "phase 1 last: 6,000 tokens" in render_inspection(inspect(tmp_path / "run"))
    explain_parts(tmp_path / "run")


def count_copies(files: list[Path]) -> None:
    """Statistics count a copy that phases divide once, with all its tokens."""
    copies: Counter[tuple[str, int, str]] = Counter()
    places: dict[tuple[str, int, str], set[Path]] = {}
    for file in files:
        shard = open_shard(file)
        for piece in (piece for row in range(shard.rows) for piece in shard.pieces(row)):
            copy = piece.document, piece.epoch, piece.source
            copies[copy] += piece.length
            places.setdefault(copy, set()).add(file)
    divided = [copy for copy, some in places.items() if len(some) > 1]
    assert divided
    facts = mixture_statistics(files)
    assert facts["documents"] == len(copies)
    assert {name: one["documents"] for name, one in facts["sources"].items()} == Counter(
        source for *_, source in copies
    )
    powers = Counter(str(2 ** (length.bit_length() - 1)) for length in copies.values())
    assert facts["document_lengths"] == powers
    alone = mixture_statistics([file for file in files if file in places[divided[0]]][:1])
    assert alone["documents"] == sum(
        file in some for some in places.values() for file in [min(places[divided[0]])]
    )


def explain_parts(folder: Path) -> None:
    """`explain` tells of copies that phases divide where each part lies, in the copy's own view."""
    ids = {row["id"] for path in folder.glob("steps/encode/*/data/?????.arrow") for row in rows_of(path)}
    divided = views = 0
    for identity in sorted(ids):
        story = explain(RunFolder(folder), identity)
        (told,) = story.instances
        shown = render_story(story)
        copies: dict[int, list[DrawnCopy]] = {}
        for copy in told.drawn or ():
            copies.setdefault(copy.epoch, []).append(copy)
        assert (
            not copies or f"drawn {'once' if len(copies) == 1 else f'{len(copies)} times'}, in" in told.fate
        )
        for epoch, parts in copies.items():
            pieces = [piece for piece in told.pieces or () if piece.epoch == epoch]
            assert {piece.fim for piece in pieces} <= {parts[0].fim}
            place = 0
            for piece in pieces:  # the parts follow one another without a gap
                assert piece.offset == place
                place += piece.length
            last = parts[-1]
            assert place == (last.tokens if last.cut_to is None else last.cut_to)
            assert [one.goes_on for one in parts] == [True] * (len(parts) - 1) + [False]
            for one, following in pairwise(parts):
                assert one.cut_to == following.cut_from
                assert one.phase < following.phase
            if len(parts) > 1:
                divided += 1
                first, second = parts[:2]
                assert (
                    f"phase {first.phase} {first.phase_name} has its tokens 0 to {first.cut_to:,} of" in shown
                )
                assert (
                    f"phase {second.phase} {second.phase_name} has its tokens {second.cut_from:,} to" in shown
                )
            if (last.tokens, last.fim) != (told.encoded.tokens, told.encoded.fim):
                views += 1
                assert f"the copy of epoch {epoch} is encoded as {last.tokens:,} tokens" in shown
    assert divided > 0
    assert views > 0


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        rows: list[dict[str, Any]] = ipc.open_file(file).read_all().select(["id"]).to_pylist()
    return rows
