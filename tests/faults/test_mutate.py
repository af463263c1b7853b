"""The mutation fuzzer in short: a fixed number of cases of every format; see `mutate` for more by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.mutate import campaign, judge, lacks_whole_parts, run_goes_on
from tests.faults.samples import SAMPLES


def test_no_mutation_is_read_as_something_else_or_ends_a_run(tmp_path: Path) -> None:
    figures, faults = campaign(sorted(SAMPLES), seed=11, count=25, seconds=None, limit=120, folder=tmp_path)
    assert faults == []
    assert all(tally["cases"] == 25 for tally in figures.values())
    told = sum(tally["losses told"] for tally in figures.values())
    assert told > 200  # the mutations do damage, and it is told


def test_whole_records_that_are_not_there_cannot_be_told() -> None:
    sample = SAMPLES["warc"]
    assert lacks_whole_parts(sample, b"")
    assert lacks_whole_parts(sample, sample.data[: sample.bounds[3]] + sample.data[sample.bounds[5] :])
    assert not lacks_whole_parts(sample, sample.data[: sample.bounds[3] + 1])


def test_what_is_wrong_is_seen() -> None:
    sound = {"texts": ["a", "b"], "losses": {}, "memory": 0}

    def wrong(name: str, texts: list[str], kind: str = "flip", **losses: int) -> list[str]:
        named = {key.replace("_", " ", 1): count for key, count in losses.items()}
        return judge(SAMPLES[name], sound, {"texts": texts, "losses": named, "memory": 0}, kind)

    assert wrong("warc", ["a"]) == ["silent"]
    assert wrong("warc", ["a"], quarantined_corrupt_input=1) == []
    assert wrong("warc", ["a", "c"]) == []
    assert wrong("warc.gz", ["a", "c"]) == ["altered"]
    assert wrong("jsonl", ["a"], "cut") == []
    assert wrong("jsonl", ["a"], "zero") == ["silent"]
    assert wrong("parquet", ["a", "b"]) == ["uncounted"]
    assert wrong("parquet", ["a", "b"], quarantined_bad_parquet=22) == []
    assert judge(SAMPLES["warc"], sound, {"traceback": "ValueError"}, "flip") == ["traceback"]


@pytest.mark.parametrize("name", ["jsonl.gz"])
def test_a_run_over_a_damaged_file_and_a_sound_one_ends_well(tmp_path: Path, name: str) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(SAMPLES[name].data[:100])
    assert run_goes_on(SAMPLES[name], damaged, tmp_path)
