"""A short kill campaign; `kill_campaign.py` runs longer ones by hand."""

from __future__ import annotations

from pathlib import Path

from tests.faults.kill_campaign import short_campaign


def test_a_killed_driver_and_a_killed_worker_change_no_byte(tmp_path: Path) -> None:
    assert short_campaign(tmp_path, seed=1, documents=300) == []
