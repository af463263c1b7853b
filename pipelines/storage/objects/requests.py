"""Counts of the requests that a process sends to object stores, and what their answers proved."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """Requests sent, by their kind (`head`, `get`, `list`, `put`, `part`, `delete`), and bytes of bodies.

    Each attempt of a request counts.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    fetched: int = 0
    sent: int = 0

    @property
    def total(self) -> int:
        return self.kinds.total()

    def since(self, before: Asked) -> Asked:
        """What was asked after `before`."""
        return Asked(self.kinds - before.kinds, self.fetched - before.fetched, self.sent - before.sent)


class Requests:
    """A counter that several threads may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: Counter[str] = Counter()
        self._fetched = self._sent = 0
        self._as_listed: set[tuple[str, int, str]] = set()

    def found_as_listed(self, url: str, size: int, version: str) -> None:
        """Note that the store gave bytes of this version of an object, and of no other."""
        with self._lock:
            self._as_listed.add((url, size, version))

    def as_listed(self, url: str, size: int, version: str) -> bool:
        """Whether that was noted since `forget_listed`."""
        with self._lock:
            return (url, size, version) in self._as_listed

    def forget_listed(self) -> None:
        """Let every object be asked for anew."""
        with self._lock:
            self._as_listed.clear()

    def add(self, kind: str, count: int = 1, *, fetched: int = 0, sent: int = 0) -> None:
        """Count requests of one kind, and the bytes of their bodies."""
        with self._lock:
            if count:
                self._kinds[kind] += count
            self._fetched += fetched
            self._sent += sent

    def so_far(self) -> Asked:
        """What was asked since the process began."""
        with self._lock:
            return Asked(Counter(self._kinds), self._fetched, self._sent)
