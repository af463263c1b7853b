"""Exchanges of several rounds: connected documents equal an oracle; what cannot be judged is left out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.inspection.trails import mask_events
from tests.oracles.dedup_connected import survivors
from tests.pipelines.run.edited import rows_of, run, write_recipe

lines = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=2).map("\n".join)
corpora = st.lists(st.lists(lines, min_size=1, max_size=3), min_size=1, max_size=2)


@settings(max_examples=12, phases=[Phase.explicit, Phase.generate])  # each is a run; none is made smaller
@given(corpora)
def test_connected_documents_equal_the_oracle(corpus: list[list[str]]) -> None:
    """Of at most six documents none is further than five spreads from the best."""
    with tempfile.TemporaryDirectory() as folder:
        record = run(write_recipe(Path(folder), corpus, "{connected: {spreads: 5}}"))
        written = rows_of(record, masked=False)
        best = survivors(written)
        assert rows_of(record) == [row for place, row in enumerate(written) if best[place] == place]
        addresses = [(unit, row) for unit, texts in enumerate(corpus) for row in range(len(texts))]
        for place, (unit, row) in enumerate(addresses):
            event = mask_events(record, unit, row)[-1]
            assert event.get("survivor_id") == (None if best[place] == place else written[best[place]][0])


def test_each_round_is_a_step_that_runs_again_alone(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, [["a\nb", "b\nc", "c\nd", "x"]], "connected")
    record = run(path)
    names = [name for name in record.steps if name.startswith("dedup")]
    assert names == [
        "dedup.connected.scatter",
        "dedup.connected.round-2",
        "dedup.connected.round-3",
        "dedup.connected.gather",
        "dedup.connected",
    ]
    assert record.steps["dedup.connected.round-2"].rows == 14
    assert [text for _, text in rows_of(record)][-1] == "x"
