"""A plugin that cuts repeated paragraphs equals an oracle that walks over lines."""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.run.graph import build_graph
from corpusmill.pipelines.run.operators import apply_removals, buckets, match
from tests.oracles.dedup_paragraphs import without_repeats
from tests.pipelines.run.edited import PLUGINS, rows_of, run, write_recipe

PAGE = Path(__file__).parents[3] / "docs" / "add_a_dedup.md"
breaks = st.sampled_from(["\n\n", "\n \t\n", "\r\n\r\n", "\n", " ", "\n\n\n", "\u3000", "\u00a0\n", "\x1c"])
words = st.sampled_from(["a", "b", "é", "水", "😀", "x\ny", " c", "\u2028"])
texts = st.lists(st.one_of(words, breaks), max_size=8).map("".join)
corpora = st.lists(st.lists(texts, min_size=1, max_size=4), min_size=1, max_size=3)


def test_the_plugin_is_short() -> None:
    assert len((PLUGINS / "repeated_paragraphs.py").read_text("utf-8").splitlines()) < 100


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])  # each is a run; none is made smaller
@given(corpora, st.integers(1, 3))
def test_it_equals_the_oracle(corpus: list[list[str]], at_least: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_recipe(Path(folder), corpus, f"{{repeated_paragraphs: {{at_least: {at_least}}}}}")
        record = run(path)
        written = rows_of(record, masked=False)
        left = without_repeats(written, at_least)
        wanted = [(name, text) for (name, _), text in zip(written, left, strict=True) if text is not None]
        assert rows_of(record) == wanted


def test_order_and_units_of_the_input_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one unit, as several, and in another order with a mask file for every two units."""
    draw = random.Random(5)
    shared = [" ".join(draw.choices(["stone", "wéir", "水車", "race"], k=20)) for _ in range(40)]
    texts = []
    for number in range(700):
        own = " ".join(f"{number}{draw.random()}" for _ in range(10))
        texts.append("\n\n".join(draw.sample([own, *draw.sample(shared, 2)], draw.randint(1, 3))))
    whole = run(write_recipe(tmp_path / "whole", [texts], "repeated_paragraphs"))
    small = ", split_bytes: 65536"
    parts = run(write_recipe(tmp_path / "parts", [texts], "repeated_paragraphs", reader=small))
    draw.shuffle(texts)
    for operator in (apply_removals, buckets, match):
        monkeypatch.setattr(operator, "MASK_UNITS", 2)
    other = run(write_recipe(tmp_path / "other", [texts], "repeated_paragraphs", reader=small))
    masks = [record.steps["dedup.repeated_paragraphs"] for record in (whole, parts, other)]
    assert [len(record.view()) for record in (whole, parts, other)] == [1, 5, 5]
    assert [len(mask.units) for mask in masks] == [1, 1, 3]
    assert sorted(rows_of(whole)) == sorted(rows_of(parts)) == sorted(rows_of(other))
    ledgers = [mask.ledger.record() for mask in masks]
    assert ledgers[0] == ledgers[1] == ledgers[2]
    assert ledgers[0][0].cut["repeated_paragraph"] > 50_000
    assert ledgers[0][0].removed["emptied"][0] > 50


def test_the_page_shows_the_very_plugin_and_a_recipe_that_loads(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert code == (PLUGINS / "repeated_paragraphs.py").read_text("utf-8")
    (recipe,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "repeated_paragraphs.py").write_text(code, "utf-8")
    (tmp_path / "recipe.yaml").write_text(recipe, "utf-8")
    loaded = load_recipe(tmp_path / "recipe.yaml")
    assert [step.name for step in build_graph(loaded)][-3:] == [
        "dedup.repeated_paragraphs.scatter",
        "dedup.repeated_paragraphs.gather",
        "dedup.repeated_paragraphs",
    ]
    (tmp_path / "recipe.yaml").write_text(recipe.replace("at_least", "at_lest"), "utf-8")
    with pytest.raises(InvalidRecipeError, match="did you mean `at_least`"):
        load_recipe(tmp_path / "recipe.yaml")
    plugins.clear_plugins()
