"""A short tamper campaign; the long one is run by hand: see `tamper_campaign`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.tamper_campaign import MUTATIONS, run_campaign


def test_no_damage_passes_and_repair_restores_every_byte(tmp_path: Path) -> None:
    """Each kind of damage once, to files that the seed draws."""
    campaign = run_campaign(tmp_path, seed=20, each=1)
    assert campaign.failures == []
    applied = campaign.outcomes.total() - campaign.outcomes["does not apply"]
    assert applied == len(MUTATIONS)
    assert campaign.outcomes["told"] > 0
