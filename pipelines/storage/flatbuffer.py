"""The few parts of FlatBuffers that Arrow files need: tables by the number of a field, vectors, scalars.

Every place is checked to lie inside the bytes, so that damaged ones raise ValueError. Format:
https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class FlatTable:
    """One table of `data` at byte `at`."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> FlatTable:
        """The table that the bytes begin with. Raises ValueError."""
        return cls(data, _number(data, 0, "<I"))

    def _place(self, field: int) -> int | None:
        """Where a field is; None where it has its default."""
        table = self.at - _number(self.data, self.at, "<i")
        size = _number(self.data, table, "<H")
        entry = 4 + 2 * field
        if entry + 2 > size:
            return None
        offset = _number(self.data, table + entry, "<H")
        return self.at + offset if offset else None

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A scalar; `form` as of `struct`."""
        place = self._place(field)
        return default if place is None else _number(self.data, place, form)

    def table(self, field: int) -> FlatTable | None:
        """A table, that of a union as well."""
        place = self._place(field)
        return None if place is None else FlatTable(self.data, place + _number(self.data, place, "<I"))

    def structs(self, field: int, form: str) -> list[tuple[int, ...]]:
        """A vector of structs of one form, with their padding in it."""
        place = self._place(field)
        if place is None:
            return []
        start = place + _number(self.data, place, "<I")
        count, size = _number(self.data, start, "<I"), struct.calcsize(form)
        if start + 4 + count * size > len(self.data):
            raise ValueError(f"a list of {count} entries at byte {start} does not fit into its metadata")
        return list(struct.iter_unpack(form, self.data[start + 4 : start + 4 + count * size]))


def _number(data: bytes, at: int, form: str) -> int:
    if not 0 <= at <= len(data) - struct.calcsize(form):
        raise ValueError(f"byte {at} is outside of its metadata")
    return int(struct.unpack_from(form, data, at)[0])
