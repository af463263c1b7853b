"""Ends of the large files of a step, in one object: footers and indexes, for those who read ranges of many.

A line of JSON names each file by 32 digits of its SHA-256, with where its end begins and stops; the ends
follow. Nothing here is trusted: the receipt of a file has a digest of its index, and that a checksum of each
batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field, TypeAdapter

End = tuple[str, int, int]  # 32 digits of the file's SHA-256; where in the file it begins and stops

_Digits = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
_Place = Annotated[int, Field(ge=0)]
_ENDS = TypeAdapter(list[tuple[_Digits, _Place, _Place]])


def bundled(ends: Mapping[End, bytes]) -> bytes:
    """The object of these ends; the same bytes for the same ends."""
    names = sorted(ends)
    return json.dumps(names).encode() + b"\n" + b"".join(ends[name] for name in names)


def unbundled(content: bytes) -> Iterator[tuple[End, bytes]]:
    """The ends in an object. Raises ValueError where it is no such object, or cut."""
    head, _, rest = content.partition(b"\n")
    at = 0
    for digits, start, stop in _ENDS.validate_json(head, strict=True):
        found = rest[at : at + stop - start]
        if len(found) != stop - start:
            raise ValueError("it is cut")
        yield (digits, start, stop), found
        at += len(found)
