from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from corpusmill.training_hooks.loading.read_ahead import ReadAhead
from tests.waiting import wait_until


def counted(made: list[int]) -> Iterator[int]:
    for number in itertools.count():
        made.append(number)
        yield number


def test_items_come_in_order_and_no_more_are_made_than_asked_for() -> None:
    made: list[int] = []
    ahead = ReadAhead(lambda: counted(made), 3)
    assert [next(ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
    wait_until(lambda: len(made) == 9, "5 taken, 3 waiting and one in the thread's hands")
    threading.Event().wait(0.2)
    assert len(made) == 9
    ahead.close()
    assert not ahead._thread.is_alive()


def test_an_error_comes_where_its_item_would_have() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk does not answer")

    ahead = ReadAhead(broken, 4)
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk does not answer"):
        next(ahead)
    assert list(ahead) == []


def test_the_end_is_the_end_and_what_nobody_uses_ends() -> None:
    assert list(ReadAhead(lambda: iter(range(7)), 2)) == list(range(7))
    made: list[int] = []
    forgotten = ReadAhead(lambda: counted(made), 2)
    thread = forgotten._thread
    assert next(forgotten) == 0
    del forgotten
    wait_until(lambda: not thread.is_alive(), "the thread of an object that is deleted ends")
    with pytest.raises(ValueError, match="at least one"):
        ReadAhead(lambda: iter([1]), 0)
