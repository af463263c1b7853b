"""A survivor's end of what was removed: all of it, in pages, with the passages that differ."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import Any

import pytest

from corpusmill.pipelines.inspection.displaced import Page
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.story import Displaced, Story
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.storage.run_folder import RunFolder

RECIPE = """
name: pages
output: run
engine: {kind: inline}
sources:
  a: {read: {jsonl: a.jsonl}}
  b: {read: {jsonl: b.jsonl}}
dedup: [exact, {minhash: {threshold: 0.5, bands: 40, rows: 2}}]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Three families of texts that differ in a word or two, some of them copies, in two sources."""
    folder = tmp_path_factory.mktemp("displaced")
    draw = random.Random(5)
    texts = []
    for family in range(3):
        words = [f"f{family}w{n}" for n in range(80)]
        for child in range(14 - 4 * family):
            mine = list(words)
            if child % 4:
                mine[draw.randrange(80)] = f"other{child}"
            texts.append(" ".join(mine + ["tail"] * (child % 3)))
    draw.shuffle(texts)
    for at, name in enumerate("ab"):
        rows = [{"id": f"{name}{n}", "text": text} for n, text in enumerate(texts[at::2])]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.yaml").write_text(RECIPE)
    return run_recipe(load_recipe(folder / "r.yaml")).folder


def removed(run: RunFolder) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Rows of the lists of removed documents by survivor and step."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for step in ("dedup.exact", "dedup.minhash"):
        folder = run.current_step(step)
        assert folder is not None
        for file in folder.units.files("removed.arrow"):
            for batch in read_batches(folder.file(file.name)):
                for row in batch.to_pylist():
                    found[row["survivor_id"]][step].append(row)
    return found


def shown(displaced: Displaced) -> list[str]:
    return [one.id for one in displaced.listed]


def test_every_removal_is_told_from_its_survivors_end(run: RunFolder) -> None:
    every = removed(run)
    assert sum(len(rows) for steps in every.values() for rows in steps.values()) > 20
    for survivor, steps in every.items():
        story = explain(run, survivor, Page(limit=1000))
        assert {one.step: shown(one) for one in story.displaced} == {
            step: sorted(row["id"] for row in rows) for step, rows in sorted(steps.items())
        }
        for one in story.displaced:
            rows = steps[one.step]
            assert (one.documents, one.bytes) == (len(rows), sum(row["bytes"] for row in rows))
            assert sum(documents for documents, _ in one.sources.values()) == len(rows)
            assert set(one.sources) == {row["source"] for row in rows}
        assert decode(Story, json.loads(json.dumps(encode(story))), "a story") == story


def test_pages_follow_one_another(run: RunFolder) -> None:
    survivor, steps = max(removed(run).items(), key=lambda item: len(item[1]["dedup.minhash"]))
    wanted = sorted(row["id"] for row in steps["dedup.minhash"])
    found: list[str] = []
    for skip in range(0, len(wanted) + 3, 3):
        pages = explain(run, survivor, Page(limit=3, skip=skip)).displaced
        (page,) = (one for one in pages if one.step == "dedup.minhash")
        assert page.documents == len(wanted)
        found += shown(page)
    assert found == wanted
    told = render_story(explain(run, survivor, Page(limit=2, skip=1)))
    assert f"2 to 3 of {len(wanted)} are listed; others with --skip and --limit" in told
    told = render_story(explain(run, survivor, Page(limit=0)))
    assert f"none of {len(wanted)} are listed" in told


def test_both_ends_tell_the_same_differences(run: RunFolder) -> None:
    changed = 0
    for survivor in removed(run):
        story = explain(run, survivor, Page(limit=1000))
        for one in next((one.listed for one in story.displaced if one.step == "dedup.minhash"), ()):
            (instance,) = explain(run, one.id).instances
            assert instance.comparison == one.comparison
            assert one.comparison is not None
            mine, theirs = one.comparison.removed, one.comparison.survivor
            assert mine is not None
            assert theirs is not None
            words = {passage.excerpt for passage in (*mine.passages, *theirs.passages)}
            changed += bool(words)
            told = render_story(explain(run, one.id))
            assert all(f"[-{passage.excerpt}-]" in told for passage in mine.passages[:8])
            assert all(f"{{+{passage.excerpt}+}}" in told for passage in theirs.passages[:8])
    assert changed > 10


def test_a_copy_differs_in_nothing(run: RunFolder) -> None:
    rows = [row for steps in removed(run).values() for row in steps["dedup.exact"]]
    (instance,) = explain(run, rows[0]["id"]).instances
    assert instance.comparison is not None
    assert instance.comparison.removed is not None
    assert instance.comparison.removed.passages == ()
    assert "differ in white space and order alone, if at all" in render_story(explain(run, rows[0]["id"]))
