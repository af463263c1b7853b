"""Leases: one holder at a time, whatever is lost or late."""

from __future__ import annotations

import json
import threading

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.storage.objects.current import store_of
from corpusmill.pipelines.storage.objects.urls import parse_url
from corpusmill.pipelines.storage.remote.lease import FencedError, Lease
from tests.fault_proxy import Fault
from tests.object_server import ObjectServer
from tests.waiting import wait_until

SHORT = 0.3  # seconds of silence that a lease survives


def lease(bucket: str, holder: str, seconds: float = SHORT) -> Lease:
    url = f"s3://{bucket}/run"
    return Lease(store_of(parse_url(url)), "run/lease.json", url, holder, seconds)


def held(server: ObjectServer, bucket: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(server.get(bucket, "run/lease.json"))
    return found


def test_epochs_count_up_and_a_lease_given_back_is_free_at_once(server: ObjectServer, bucket: str) -> None:
    for number in (1, 2, 3):
        one = lease(bucket, f"machine-{number}", seconds=600)
        one.take()
        assert one.epoch == number
        one.give_back()
    assert held(server, bucket)["over"] is True


def test_a_lease_that_beats_is_not_taken(server: ObjectServer, bucket: str) -> None:
    one, other = lease(bucket, "one"), lease(bucket, "other")
    one.take()
    with pytest.raises(UserError, match=rf"s3://{bucket}/run: another run is using this folder"):
        other.take()
    one.check()
    one.give_back()


def test_a_silent_lease_is_taken_over_and_its_holder_learns_of_it(server: ObjectServer, bucket: str) -> None:
    one, other = lease(bucket, "one"), lease(bucket, "other")
    one.take()
    one._end.set()
    one._thread.join()
    other.take()
    assert other.epoch == 2
    one.check()  # it does not know yet
    with pytest.raises(FencedError, match="another driver took over this run"):
        one.give_back()
    other.give_back()


def test_the_same_machine_does_not_wait_for_its_own_dead_driver(server: ObjectServer, bucket: str) -> None:
    one, again = lease(bucket, "one", seconds=600), lease(bucket, "one", seconds=600)
    one.take()
    again.take()
    assert again.epoch == 2
    again.give_back()


def test_of_several_that_want_a_lease_one_gets_it(server: ObjectServer, bucket: str) -> None:
    dead = lease(bucket, "dead")
    dead.take()
    dead._end.set()
    dead._thread.join()
    want = [lease(bucket, f"machine-{number}") for number in range(4)]
    refused: list[UserError] = []

    def take(one: Lease) -> None:
        try:
            one.take()
        except UserError as error:
            refused.append(error)

    threads = [threading.Thread(target=take, args=(one,)) for one in want]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    (winner,) = [one for one in want if one._held is not None]
    assert winner.epoch == 2
    winner.give_back()


def test_a_beat_whose_answer_was_lost_is_no_loss_of_the_lease(server: ObjectServer, bucket: str) -> None:
    one = lease(bucket, "one")
    one.take()
    lost = Fault("lost", lambda seen: seen.method == "PUT", times=3)  # all attempts of one beat
    server.proxy.faults.append(lost)
    wait_until(lambda: not lost.times, "beats")
    beat = held(server, bucket)["beat"]
    wait_until(lambda: held(server, bucket)["beat"] != beat, "another beat")
    one.check()
    one.give_back()
    assert held(server, bucket)["epoch"] == 1


def test_a_lease_that_somebody_overwrites_or_removes_is_lost(server: ObjectServer, bucket: str) -> None:
    for content in (b"not a lease", None):
        one = lease(bucket, "one")
        one.take()
        if content is None:
            server.delete(bucket, "run/lease.json")
        else:
            server.put(bucket, "run/lease.json", content)
        wait_until(lambda: one._lost, "a beat")  # noqa: B023  # asked at once
        with pytest.raises(FencedError):
            one.give_back()
        server.delete(bucket, "run/lease.json")


def test_a_server_that_ignores_conditions_is_refused(server: ObjectServer, bucket: str) -> None:
    server.proxy.faults.append(Fault("bare", lambda seen: True, times=100))
    with pytest.raises(UserError, match="the server writes over an object though it was asked not to"):
        lease(bucket, "one").take()
    server.proxy.fresh()
    other = lease(bucket, "other", seconds=600)
    other.take()  # at once
    other.give_back()


def test_what_is_no_lease_is_told(server: ObjectServer, bucket: str) -> None:
    server.put(bucket, "run/lease.json", b"{}")
    with pytest.raises(IntegrityError, match=r"lease.json: no lease of a run .*; remove it, if no"):
        lease(bucket, "one").take()
