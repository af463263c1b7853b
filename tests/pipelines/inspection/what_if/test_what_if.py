"""What-if against the run that follows it: the same documents change sides."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.inspection.what_if.what_if import what_if
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.inspection.what_if.conftest import left_of, texts_of, write_inputs


def drawn_settings(seed: int) -> list[str]:
    draw = random.Random(seed)
    choices = [
        f"web.enough_words.at_least={draw.choice([0, 20, 40, 70, 120])}",
        f"web.enough_words.at_most={draw.choice(['null', 100, 200, 240])}",
        f"web.vowels.most={draw.choice([0.38, 0.39, 0.4, 0.6])}",
        f"web.vowels.firsts={draw.choice(['[]', '[z, a]', '[e]'])}",
    ]
    chosen = draw.sample(choices, draw.randint(1, 4))
    same = {"web.enough_words.at_least=40", "web.enough_words.at_most=200"}
    return [one for one in chosen if one not in same] or ["web.vowels.most=0.39"]


@pytest.mark.parametrize("seed", range(6))
def test_the_run_that_follows_does_what_was_answered(
    asked_folder: Path, rerun: Callable[..., RunFolder], seed: int
) -> None:
    settings = drawn_settings(seed)
    before = RunFolder(asked_folder / "run")
    recipe = load_recipe(asked_folder / "recipe.yaml")
    answer = what_if(before, settings, recipe, examples=0)
    found = answer.sources["web"]
    after = rerun(*(f"sources.web.steps.{one.removeprefix('web.')}" for one in settings))

    old, new = Counter(i for i, _ in texts_of(before, "web")), Counter(i for i, _ in texts_of(after, "web"))
    gone, come = old - new, new - old
    kept_before = Counter(left_of(before, "web"))
    assert found.unlike == 0
    assert found.removed.documents == sum((kept_before & gone).values())
    assert found.removed.documents + found.removed_before_a_mask.documents == sum(gone.values())
    assert found.kept.documents == sum(kept_before.values())
    assert sum(come.values()) <= found.passed.documents
    ours = [change.key.split(".")[1] for change in answer.changes]
    if set(ours) == {"vowels"}:  # behind it `unsaid` keeps all: what passes is kept
        assert sum(come.values()) == found.passed.documents
    assert sum(one.documents for one in found.removed_by) == found.removed.documents
    assert sum(one.documents for one in found.passed_by) == found.passed.documents
    sizes = {identity: len(text.encode()) for identity, text in texts_of(before, "web")}
    assert found.removed.bytes == sum(sizes[i] * n for i, n in (kept_before & gone).items())
    # What a deduplication removed for documents that go comes back, within what was said.
    back = Counter(left_of(after, "web")) + Counter(left_of(after, "other"))
    stood = kept_before + Counter(left_of(before, "other"))
    returned = sum((back - stood - come).values())
    least, most = (sum(getattr(one, name) for one in answer.displaced) for name in ("at_least", "at_most"))
    if not come:
        assert least <= returned <= most
        assert returned > 0 or not answer.displaced


def test_two_filters_at_once_are_judged_in_their_order(asked_folder: Path) -> None:
    recipe = load_recipe(asked_folder / "recipe.yaml")
    folder = RunFolder(asked_folder / "run")
    both = what_if(folder, ["web.enough_words.at_least=90", "web.vowels.most=0.385"], recipe, 0).sources[
        "web"
    ]
    words = what_if(folder, ["web.enough_words.at_least=90"], recipe, 0).sources["web"]
    vowels = what_if(folder, ["web.vowels.most=0.385"], recipe, 0).sources["web"]
    by = Counter(one.stage for one in both.removed_by for _ in range(one.documents))
    assert by["enough_words"] == words.removed.documents
    assert 0 < by["vowels"] < vowels.removed.documents
    assert both.unjudged_by == ("unsaid", "dedup.exact")
    assert {one.lang for one in both.removed_by} == {"de", "en"}


def test_examples_of_both_directions_have_their_whole_texts(asked_folder: Path) -> None:
    recipe = load_recipe(asked_folder / "recipe.yaml")
    folder = RunFolder(asked_folder / "run")
    settings = ["web.enough_words.at_least=10", "web.enough_words.at_most=120", "web.vowels.firsts=[]"]
    answer = what_if(folder, settings, recipe, examples=5)
    again = what_if(folder, settings, recipe, examples=5)
    assert again.examples == answer.examples
    sides = Counter(one.direction for one in answer.examples)
    assert sides == {"removed": 5, "passed": 5}
    for one in answer.examples:
        assert one.text is not None, one.why_not
        words = len(one.text.split(" "))
        assert len(one.text.encode()) == one.bytes
        if one.stage == "enough_words":
            assert one.scores == {"words": words}
            assert words > 120 if one.direction == "removed" else 10 <= words < 40
        else:
            assert one.text.startswith("z")
    told = [one for one in what_if(folder, settings, None, 5).examples if one.direction == "passed"]
    assert all(one.text is None and "--recipe" in (one.why_not or "") for one in told)


def test_a_source_that_changed_since_the_run_shows_no_text(tmp_path: Path) -> None:
    write_inputs(tmp_path, 60)
    folder = run_recipe(load_recipe(tmp_path / "recipe.yaml")).folder
    recipe = load_recipe(tmp_path / "recipe.yaml")
    for name in ("web1", "web2"):
        file = tmp_path / f"{name}.jsonl"
        file.write_text(file.read_text(encoding="utf-8").replace("a", "e"), encoding="utf-8")
    answer = what_if(folder, ["web.enough_words.at_least=2"], recipe, 2)
    assert {one.why_not for one in answer.examples} == {
        "it is not among what its source holds now, so its file has changed since the run"
    }
    (tmp_path / "web1.jsonl").unlink()
    answer = what_if(folder, ["web.enough_words.at_least=2"], recipe, 2)
    assert any("web1.jsonl" in (one.why_not or "") for one in answer.examples)


def test_a_key_may_be_that_of_the_recipe(asked_folder: Path) -> None:
    def changed(key: str) -> list[tuple[str, int]]:
        answer = what_if(RunFolder(asked_folder / "run"), [f"{key}=30"], recipe, 0)
        return [(change.key, answer.sources["web"].removed.documents) for change in answer.changes]

    recipe = load_recipe(asked_folder / "recipe.yaml")
    short = changed("web.enough_words.at_least")
    assert changed("sources.web.steps.enough_words.at_least") == short
    assert changed("sources.web.enough_words.at_least") == changed("web.steps.enough_words.at_least") == short


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("web.enough_word.at_least=3", "did you mean `enough_words`"),
        ("wbe.enough_words.at_least=3", "did you mean `web`"),
        ("web.enough_words.at_laest=3", "did you mean `at_least`"),
        ("web.enough_words.at_least=many", "is no whole number"),
        ("web.enough_words.at_least", "web.gopher_quality.min_words=30"),
        ("web.enough_words=3", "web.gopher_quality.min_words=30"),
        ("web.enough_words.at_least.zh=3", "nothing can be set inside it"),
        ("web.enough_words.at_least=40", "nothing would change"),
        ("web.enough_words.cut=x", "choose one of at_least, at_most"),
        ("web.vowels.letters=a", "choose one of firsts, most"),
        ("web.unsaid.at_least=4", "`rules` or `measured`"),
        ("dedup.exact.x=3", "what `dedup.exact.x` decides follows from other documents"),
    ],
)
def test_what_cannot_be_asked_is_told_with_the_cure(asked_folder: Path, setting: str, words: str) -> None:
    recipe = load_recipe(asked_folder / "recipe.yaml")
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        what_if(RunFolder(asked_folder / "run"), [setting], recipe)
    assert str(caught.value).startswith("--set " + ".".join(setting.partition("=")[0].split(".")[:2]))


def test_every_fault_of_the_settings_is_told(asked_folder: Path) -> None:
    recipe = load_recipe(asked_folder / "recipe.yaml")
    with pytest.raises(UserError) as caught:
        what_if(RunFolder(asked_folder / "run"), ["web.enough_word.at_least=3", "web.vowels.x=3"], recipe)
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(UserError, match="--set"):
        what_if(RunFolder(asked_folder / "run"), [], recipe)


def test_of_documents_that_were_not_kept_one_direction_is_known(tmp_path: Path) -> None:
    write_inputs(tmp_path, 80)
    text = (tmp_path / "recipe.yaml").read_text(encoding="utf-8")
    text += "keep: results\ntokenizer: {train: {vocab_size: 300}}\nmixture: {tokens: 20K, max_epochs: 50}\n"
    text += "pack: {sequence_length: 64, shard_tokens: 20K}\n"
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    folder = run_recipe(recipe).folder
    answer = what_if(folder, ["web.enough_words.at_least=20"], recipe, 1)
    found = answer.sources["web"]
    assert found.passed.documents > 0
    assert found.kept.documents == found.removed.documents == 0
    assert "keep: results" in answer.not_known[0]
    whole = run_recipe(load_recipe(tmp_path / "recipe.yaml", ["keep=all", "output=whole"])).folder
    full = what_if(whole, ["web.enough_words.at_least=20"], recipe, 1)
    assert full.sources["web"].passed.documents == found.passed.documents
    assert full.sources["web"].removed.tokens == 0
    assert full.sources["web"].passed.tokens
    less = what_if(whole, ["web.enough_words.at_least=60"], recipe, 1).sources["web"].removed
    assert less.counted == less.documents > 0


def test_a_source_that_is_not_complete_is_told(tmp_path: Path) -> None:
    write_inputs(tmp_path, 60)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    folder = run_recipe(recipe, until=["other"]).folder
    assert [source.name for source in load_record(folder).sources] == ["other"]
    with pytest.raises(UserError, match="the source web is not complete"):
        what_if(folder, ["web.enough_words.at_least=20"], recipe)
