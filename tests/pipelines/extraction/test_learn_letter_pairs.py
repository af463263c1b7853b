"""What `letter_pairs.json` holds, learned from texts and from counts."""

from __future__ import annotations

import json
from pathlib import Path

from corpusmill.pipelines.extraction.learning.letter_pairs import as_json, learn
from corpusmill.pipelines.extraction.letter_pairs import CODECS, PAIRS


def test_pairs_of_texts_and_of_counts(tmp_path: Path) -> None:
    texts, counts = tmp_path / "texts", tmp_path / "counts"
    texts.mkdir()
    counts.mkdir()
    (texts / "sv.txt").write_text("å å Åre är, за", "utf-8")
    (counts / "sv").write_text(json.dumps({"freq": {"å": 9, " å": 30, "år": 10, "ab": 99}}), "utf-8")
    (counts / "ja").write_text(json.dumps({"freq": {"のか": 3}}), "utf-8")
    found = learn([texts, counts])
    assert set(found) == set(CODECS)
    assert set(found["latin"]) == {"sv"}
    pairs = "".join(found["latin"]["sv"].values())
    assert {pairs[at : at + 2] for at in range(0, len(pairs), 2)} == {" å", "å ", "år", " ä", "är"}
    assert json.loads(as_json(found)) == found


def test_the_file_is_as_the_learner_writes_it() -> None:
    held = json.loads(PAIRS.read_text("utf-8"))
    assert as_json(held) == PAIRS.read_text("utf-8")
    for languages in held.values():
        for levels in languages.values():
            pairs = "".join(levels.values())
            found = [pairs[at : at + 2] for at in range(0, len(pairs), 2)]
            assert len(set(found)) == len(found)
            assert not any(pair.isascii() for pair in found)
