"""A short tamper campaign; the long one is run by hand: see `tamper_campaign`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.tamper_campaign import run_campaign

CASES = 14


def test_no_damage_passes_and_repair_restores_every_byte(tmp_path: Path) -> None:
    campaign = run_campaign(tmp_path, seed=20, most=CASES)
    assert campaign.failures == []
    assert sum(campaign.outcomes.values()) == CASES
    assert campaign.outcomes["told"] > 0
