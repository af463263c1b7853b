"""What ranks that a launcher started know of one another; `test_train_on_ranks` starts them by torchrun."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from torch.distributed import HashStore

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.commands.torchrun import torchrun
from corpusmill.training_hooks.launch import torchrun as launch
from corpusmill.training_hooks.launch.fault import RankError
from corpusmill.training_hooks.launch.torchrun import Outside, _Signs, follow, outside

SECOND = {"RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_a_place_among_others_is_read_from_the_environment() -> None:
    assert outside(SECOND) == Outside(1, 3)
    local = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert outside({**SECOND, **local}) == Outside(1, 3, 1, 2)
    meeting = Outside(1, 3, 1, 2).meeting
    assert (meeting.rank, meeting.ranks, meeting.local, meeting.beside) == (1, 3, 1, 2)
    assert outside({}) is None
    assert outside({**SECOND, "MASTER_PORT": ""}) is None
    assert outside({**SECOND, "RANK": "0", "WORLD_SIZE": "1"}) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"RANK": "one"}, "invalid literal.*torchrun sets them, unset them otherwise"),
        ({"LOCAL_RANK": "a", "LOCAL_WORLD_SIZE": "2"}, "LOCAL_WORLD_SIZE: invalid literal"),
        ({"RANK": "3"}, "RANK=3 with WORLD_SIZE=3: ranks count from 0"),
    ],
)
def test_variables_that_make_no_sense_are_refused(changed: Mapping[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        outside({**SECOND, **changed})


def test_as_many_ranks_are_asked_for_as_were_started(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    run = lambda ranks, settings: asked.append(ranks)  # noqa: E731
    for name in SECOND:
        monkeypatch.delenv(name, raising=False)
    assert not torchrun(run, 2)
    for name, value in SECOND.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="--ranks 2: 3 processes were started; leave the option out"):
        torchrun(run, 2)
    assert not asked


def test_a_rank_that_gives_no_sign_of_life_is_given_up_and_one_that_is_over_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, place, given_up = HashStore(), Outside(0, 3), []
    monkeypatch.setattr(launch, "_store", lambda place: store)
    monkeypatch.setattr(launch, "SILENCE", 0.5)
    monkeypatch.setattr(launch, "BEAT_SECONDS", 0.01)
    signs = _Signs(place)

    def note(rank: int, seconds: float) -> None:
        given_up.append(rank)
        signs._over.set()

    monkeypatch.setattr(signs, "_give_up", note)
    store.set(place.sign(1), "over")
    store.set(place.sign(2), "5")
    signs.run()
    assert given_up == [2]
    assert int(store.get(place.sign(0))) > 1


def test_ranks_do_not_wait_for_the_training_of_a_leader_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, place = HashStore(), Outside(1, 3)
    monkeypatch.setattr(launch, "_store", lambda place: store)
    monkeypatch.setattr(launch, "die_with_parent", lambda: None)
    monkeypatch.setattr(launch, "_prepare", lambda: None)
    store.set(place.sign(0), "over")
    with pytest.raises(RankError, match="rank 0 ended without a training"):
        follow(place)
    store.set(place.work, "null")
    follow(place)
    assert store.get(place.sign(1)) == b"over"
