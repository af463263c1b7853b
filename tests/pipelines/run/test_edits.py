"""A plugin that cuts repeated paragraphs equals an oracle that walks over lines."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.oracles.dedup_paragraphs import without_repeats
from tests.pipelines.run.edited import PLUGINS, rows_of, run, write_recipe

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
