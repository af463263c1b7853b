"""What processes of several machines leave for one another in an object store: see `Shared`.

A request costs money and 10 to 100 ms, so looks are seconds apart. Whoever may write to the bucket below the
run's prefix may give workers tasks; credentials keep others out.
"""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.pipelines.storage.objects.current import store_of
from corpusmill.pipelines.storage.objects.faults import ChangedObjectError, NoObjectError
from corpusmill.pipelines.storage.objects.store import ObjectStore
from corpusmill.pipelines.storage.objects.urls import ObjectUrl

LOOK_SECONDS = 2.0


class SharedObjects:
    """Objects below `place`."""

    def __init__(self, place: ObjectUrl) -> None:
        self.look_seconds = LOOK_SECONDS
        self._place = place

    @property
    def _store(self) -> ObjectStore:
        return store_of(self._place)

    def _key(self, name: str) -> str:
        return f"{self._place.key}/{name}"

    def begin(self, folder: str, below: Sequence[str]) -> None:
        self.clear("")

    def stranger(self) -> str | None:
        return None

    def put(self, name: str, content: bytes) -> None:
        self._store.put(self._key(name), content)

    def put_over(self, name: str, before: bytes, content: bytes) -> None:
        try:
            found, version = self._store.read(self._key(name))
            if found == before:
                self._store.put_over(self._key(name), content, version)
        except (NoObjectError, ChangedObjectError):
            return  # another has taken its place

    def claim(self, name: str, owner: str) -> bool:
        return self._store.put_new(self._key(name), owner.encode())

    def read(self, name: str) -> bytes | None:
        try:
            return self._store.get(self._key(name))
        except NoObjectError:
            return None

    def names(self, folder: str) -> list[str]:
        return [info.url.rsplit("/", 1)[-1] for info in self._store.list_folder(self._key(folder))]

    def remove(self, name: str) -> None:
        self._store.delete(self._key(name))

    def clear(self, folder: str) -> None:
        listed = self._store.list_below(self._key(folder).rstrip("/"))
        keys = [info.url.removeprefix(f"{self._place.root}/") for info in listed]
        self._store.delete_all([key for key in keys if not key.endswith("/session.json")])
