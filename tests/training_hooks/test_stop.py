"""Signals become a request to stop, and reach whom they reached before."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from corpusmill.pipelines.contract.errors import Interrupted
from corpusmill.training_hooks.trainer.stop import stop_here_if_asked, stop_when_asked


def test_only_work_that_somebody_can_keep_is_stopped() -> None:
    stop_here_if_asked()
    with stop_when_asked() as outer:
        outer.asked = True
        with pytest.raises(Interrupted):
            stop_here_if_asked()
        with stop_when_asked():
            stop_here_if_asked()
        with pytest.raises(Interrupted):
            stop_here_if_asked()
    stop_here_if_asked()


def test_the_second_signal_reaches_who_listened_before() -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    # A shell starts what runs in the background with SIGINT ignored.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop_when_asked() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked
            assert told == [signal.SIGTERM]
            os.kill(os.getpid(), signal.SIGTERM)
            assert len(told) == 2
        with stop_when_asked() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.asked
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupt)


def test_a_signal_that_was_ignored_stays_ignored_and_threads_leave_signals_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_when_asked() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGINT, before)
    seen: list[object] = []

    def elsewhere() -> None:
        with stop_when_asked():
            seen.append(signal.getsignal(signal.SIGTERM))

    handler = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [handler]
