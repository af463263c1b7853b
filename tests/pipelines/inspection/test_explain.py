"""Every document's story, checked against what the run counted."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection import explain as explain_module
from corpusmill.pipelines.inspection.explain import explain
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.story import Story
from corpusmill.pipelines.inspection.story_rendering import render_story
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.inspection import made_run as made

Copies = Callable[[], RunFolder]


def told(run: RunFolder, identity: str) -> dict[str, Any]:
    """The story as `explain --json` prints it."""
    story: dict[str, Any] = json.loads(json.dumps(encode(explain(run, identity))))
    return story


def rendered(story: dict[str, Any]) -> str:
    return render_story(decode(Story, story, "a story"))


def _ids(run: RunFolder, source: str) -> list[str]:
    step = run.current_step(source)
    assert step is not None
    return [
        i
        for path in sorted(step.data.glob("*.parquet"))
        for i in pq.read_table(path, columns=["id"])["id"].to_pylist()
    ]


def _removed(run: RunFolder, step: str) -> list[dict[str, Any]]:
    folder = run.current_step(step)
    assert folder is not None
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.data.glob("*.removed.arrow")):
        with path.open("rb") as file:
            rows += ipc.open_file(file).read_all().to_pylist()
    return rows


@pytest.fixture(scope="module")
def stories(run: RunFolder) -> dict[str, Any]:
    """The story of every document that has an id."""
    ids = {*_ids(run, "web"), *_ids(run, "code")}
    ids |= {row["id"] for source in ("web", "code") for row in _removed(run, source) if row["id"]}
    record = load_record(run)
    with pytest.MonkeyPatch.context() as patch:  # read once, not once a document
        patch.setattr(explain_module, "load_record", lambda folder: record)
        return {identity: told(run, identity) for identity in sorted(ids)}


def test_outcomes_add_up_to_the_ledger(run: RunFolder, stories: dict[str, Any]) -> None:
    told = Counter((i["source"], i["outcome"]) for story in stories.values() for i in story["instances"])
    record = load_record(run)
    drawing = {entry.source: entry for entry in record.steps["pack.scatter"].ledger}
    for source in record.sources:
        entries = [
            e
            for s in record.steps.values()
            if s.name != "pack.scatter"
            for e in s.ledger
            if e.source == source.name
        ]
        read = next(e for e in entries if e.stage == "read")
        removed = sum(n for e in entries for n, _ in e.removed.values())
        quarantined = sum(n for e in entries for n, _ in e.quarantined.values())
        unread = sum(n for n, _ in read.quarantined.values())  # a torn line has no id to ask for
        assert told[source.name, "removed"] == removed
        assert told[source.name, "quarantined"] == quarantined - unread
        assert told[source.name, "in_shards"] == drawing[source.name].documents_kept
        assert told[source.name, "not_drawn"] == sum(n for n, _ in drawing[source.name].removed.values())


def test_pieces_are_the_documents_tokens_without_gap_or_overlap(
    run: RunFolder, stories: dict[str, Any]
) -> None:
    pack = run.current_step("pack")
    encode = run.current_step("encode")
    assert pack is not None
    assert encode is not None
    shards = {}
    for path in pack.data.glob("*.arrow"):
        with path.open("rb") as file:
            shards[path.name] = ipc.open_file(file).read_all().column("tokens").to_pylist()
    encoded = {}
    for path in sorted(encode.data.glob("?????.arrow")):
        with path.open("rb") as file:
            encoded[int(path.stem)] = ipc.open_file(file).read_all().column("tokens").to_pylist()
    copies = cut = 0
    for story in stories.values():
        for instance in story["instances"]:
            if instance["outcome"] != "in_shards":
                continue
            expected = encoded[instance["encoded"]["unit"]][instance["encoded"]["row"]]
            assert len(expected) == instance["encoded"]["tokens"]
            for copy in instance["drawn"]:
                copies += 1
                held = [p for p in instance["pieces"] if p["epoch"] == copy["epoch"]]
                tokens: list[int] = []
                for piece in held:
                    assert piece["offset"] == len(tokens)
                    tokens += shards[piece["shard"]][piece["row"]][
                        piece["start"] : piece["start"] + piece["length"]
                    ]
                if copy["cut_to"] is None:
                    assert tokens == expected
                else:
                    cut += 1
                    assert len(tokens) == copy["cut_to"] < len(expected)
                    assert instance["encoded"]["fim"] or tokens == expected[: copy["cut_to"]]
                    said = f"copy of epoch {copy['epoch']} is cut to {len(tokens):,} tokens"
                    assert said in rendered({**story, "instances": [instance]})
    assert cut == 1  # of web; code has too few tokens for its share
    packed = [unit.summary for unit in pack.need_manifest().units]
    held_out = sum(unit["held_out"]["documents"] for unit in packed)
    assert held_out > 0
    assert copies == sum(unit["documents"] for unit in packed) + held_out
    assert any(len(i["drawn"]) == 2 for s in stories.values() for i in s["instances"] if "drawn" in i)


def test_a_duplicate_names_its_survivor_and_its_fate(run: RunFolder, stories: dict[str, Any]) -> None:
    rows = _removed(run, "dedup.exact")
    assert rows
    for row in rows:
        instances = stories[row["id"]]["instances"]
        instance = next(i for i in instances if i["events"][-1].get("survivor_id") == row["survivor_id"])
        event = instance["events"][-1]
        assert (event["step"], event["reason"], event["similarity"]) == ("dedup.exact", row["reason"], 1.0)
        (survivor,) = instance["survivors"]
        assert survivor["id"] == row["survivor_id"]
        kept = [i for i in stories[row["survivor_id"]]["instances"] if i["outcome"] != "removed"]
        assert survivor["fate"] in {i["fate"] for i in kept}


def test_the_very_same_record_read_twice_has_one_id_and_two_ends(stories: dict[str, Any]) -> None:
    twice = [story for story in stories.values() if len(story["instances"]) == 2]
    assert len(twice) == 1
    (story,) = twice
    outcomes = sorted(instance["outcome"] for instance in story["instances"])
    assert outcomes[1] == "removed"
    assert outcomes[0] in ("in_shards", "not_drawn")
    assert "read 2 times" in rendered(story)


def test_scores_reason_and_origin_of_a_filtered_document(run: RunFolder) -> None:
    row = next(row for row in _removed(run, "web") if row["excerpt"] == "too few <i>words</i>")
    story = told(run, row["id"])
    (instance,) = story["instances"]
    assert instance["outcome"] == "removed"
    assert [event["verdict"] for event in instance["events"]] == ["kept", "removed"]
    assert instance["events"][-1] == {
        "step": "web",
        "stage": "enough_words",
        "verdict": "removed",
        "reason": "too_few_words",
        "scores": {"words": 3},
    }
    held = instance["origin"]["inputs"]
    assert {entry["file"] for entry in held} == {"web.jsonl"}


def test_every_document_lies_in_the_ranges_its_origin_names(run: RunFolder, stories: dict[str, Any]) -> None:
    lines: dict[str, list[tuple[int, str]]] = {}
    for source in ("web", "code"):
        offset = 0
        for line in (run.path.parent / f"{source}.jsonl").read_bytes().splitlines(keepends=True):
            with contextlib.suppress(ValueError):
                lines.setdefault(json.loads(line)["text"][:300], []).append((offset, f"{source}.jsonl"))
            offset += len(line)
    for story in stories.values():
        for instance in story["instances"]:
            if instance["outcome"] in ("removed", "quarantined") and "place" not in instance:
                continue
            ranges = instance["origin"]["inputs"]
            assert any(
                file == held["file"] and held["start"] <= offset < held["end"]
                for offset, file in lines[instance["excerpt"]]
                for held in ranges
            )


def test_a_document_the_stage_raised_on_is_quarantined_with_the_cause(stories: dict[str, Any]) -> None:
    (instance,) = [
        i for story in stories.values() for i in story["instances"] if i["outcome"] == "quarantined"
    ]
    assert instance["events"][-1]["stage"] == "enough_words"
    assert "boom" in instance["events"][-1]["detail"]


def test_decontamination_scores_of_a_survivor_and_of_the_contaminated(
    run: RunFolder, stories: dict[str, Any]
) -> None:
    (row,) = _removed(run, "decontaminate")
    event = stories[row["id"]]["instances"][0]["events"][-1]
    assert (event["step"], event["verdict"]) == ("decontaminate", "removed")
    assert event["scores"]["hits"] > 0
    survivor = next(i for s in stories.values() for i in s["instances"] if i["outcome"] == "in_shards")
    judged = next(e for e in survivor["events"] if e["step"] == "decontaminate")
    assert judged["scores"]["hits"] == 0


def test_a_unique_beginning_is_enough(run: RunFolder, stories: dict[str, Any]) -> None:
    full = sorted(stories)[0]
    short = next(full[:n] for n in range(1, 33) if sum(i.startswith(full[:n]) for i in stories) == 1)
    assert explain(run, f" {short.upper()} ").id in stories


def test_ambiguous_unknown_and_malformed_ids(run: RunFolder, stories: dict[str, Any]) -> None:
    digit = Counter(identity[0] for identity in stories).most_common(1)[0][0]
    with pytest.raises(UserError, match=f"{digit} is the start of .* ids: {digit}.*give more digits"):
        explain(run, digit)
    with pytest.raises(UserError, match="no document whose id begins with 000000000000000000"):
        explain(run, "0" * 32)
    for malformed in ("", "xyz", "0" * 33, "\x1b[31m"):
        with pytest.raises(UserError, match="not a document id") as caught:
            explain(run, malformed)
        assert "\x1b" not in str(caught.value)


def test_a_benchmark_document_is_known(run: RunFolder) -> None:
    (identity,) = _ids(run, "benchmarks")
    (instance,) = told(run, identity)["instances"]
    assert instance["outcome"] == "beside"
    assert "benchmarks" in instance["fate"]


def test_stories_of_runs_that_got_less_far(copy_of: Copies, stories: dict[str, Any]) -> None:
    identity = next(i for i, s in stories.items() if s["instances"][0]["outcome"] == "in_shards")
    copy = copy_of()
    made.forget(copy, "pack")
    story = told(copy, identity)["instances"][0]
    assert story["outcome"] == "kept"
    assert story["fate"].startswith("kept and drawn")
    made.forget(copy, "pack.scatter", "mixture", "encode")
    assert "next is step encode" in told(copy, identity)["instances"][0]["fate"]
    made.forget(copy, "decontaminate", "dedup.exact")
    story = told(copy, identity)["instances"][0]
    assert (story["outcome"], story["events"][-1]["stage"]) == ("kept", "enough_words")


def test_stories_render_every_part_and_no_control_characters(stories: dict[str, Any]) -> None:
    for identity, story in stories.items():
        shown = rendered(story)
        assert identity in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_a_document_read_very_often_is_told_in_part(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "the very same record"}\n' * 100, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        "name: often\noutput: run\nengine: {kind: inline}\nsources: {a: {read: {jsonl: a.jsonl}}}\n"
        "dedup: [exact]\n",
        encoding="utf-8",
    )
    run = run_recipe(load_recipe(tmp_path / "recipe.yaml")).folder
    (identity,) = set(_ids(run, "a"))
    story = told(run, identity)
    outcomes = Counter(instance["outcome"] for instance in story["instances"])
    assert (outcomes, story["more_instances"]) == ({"kept": 1, "removed": 31}, 68)
    assert all(
        i["survivors"][0]["outcome"] == "kept" for i in story["instances"] if i["outcome"] == "removed"
    )
    shown = rendered(story).splitlines()
    assert shown[1] == "read 100 times"
    assert sum(line.startswith("--- ") for line in shown) == 2
    assert "  and 30 more times with the same end (--json tells each)" in shown
    assert "and 68 more times, from the same record" in shown
    assert shown[-1].strip() == "1 to 10 of 99 are listed; others with --skip and --limit"
