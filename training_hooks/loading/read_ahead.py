"""A thread that makes items ahead of their use, a bounded number of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from typing import Generic, TypeVar, cast

T = TypeVar("T")

_LOOK_S = 0.05  # how often a waiting thread looks whether it is still wanted


class ReadAhead(Generic[T]):
    """Iterates over what `make` iterates over, made by a thread that is at most `ahead` items ahead.

    An error in the thread is raised where its item would have come. `close`, or the end of the object, stops
    the thread. Memory: `ahead` items, one in the making and one in use.
    """

    def __init__(self, make: Callable[[], Iterator[T]], ahead: int) -> None:
        self._stop = threading.Event()
        if ahead < 1:
            raise ValueError("a thread reads at least one item ahead")
        self._queue: Queue[tuple[bool, T | BaseException | None]] = Queue(ahead)
        self._thread = threading.Thread(
            target=_work, args=(make, self._queue, self._stop), name="corpusmill-read-ahead", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        while not self._stop.is_set():
            try:
                more, item = self._queue.get(timeout=_LOOK_S)
            except Empty:
                if not self._thread.is_alive() and self._queue.empty():
                    raise RuntimeError("the thread that reads ahead ended without a word") from None
                continue
            if more:
                return cast("T", item)
            self.close()
            if isinstance(item, BaseException):
                raise item
        raise StopIteration

    def close(self) -> None:
        """Stop the thread, and wait for the item in its hands."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __del__(self) -> None:
        self._stop.set()


def _work(
    make: Callable[[], Iterator[T]],
    queue: Queue[tuple[bool, T | BaseException | None]],
    stop: threading.Event,
) -> None:
    """The thread: it knows no `ReadAhead`, so that one which nobody uses ends."""
    last: BaseException | None = None
    try:
        for item in make():
            if not _put(queue, (True, item), stop):
                return
    except BaseException as error:  # noqa: BLE001 - raised again where the item would have come
        last = error
    _put(queue, (False, last), stop)


def _put(
    queue: Queue[tuple[bool, T | BaseException | None]],
    item: tuple[bool, T | BaseException | None],
    stop: threading.Event,
) -> bool:
    """Whether there was room before the thread was to stop."""
    while not stop.is_set():
        try:
            queue.put(item, timeout=_LOOK_S)
        except Full:
            continue
        return True
    return False
