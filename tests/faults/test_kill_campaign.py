"""A short kill campaign; `kill_campaign.py` runs longer ones by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kill_campaign import campaign


@pytest.mark.parametrize("seed", [1])
def test_kills_at_random_instants_change_no_byte(seed: int, tmp_path: Path) -> None:
    assert campaign(tmp_path, kills=4, seed=seed, engine="process", documents=300, seconds=60) == []
