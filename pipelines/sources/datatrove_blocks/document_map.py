"""Between our documents and datatrove's: `Document(text, id, media, metadata)`.

The metadata of a document are its `meta` and the columns `url`, `path`, `repo`, `license` and `lang` that
have a value, under their own names; `media` in `meta` is its list of media, bytes in base64. On the way back
a text under the name of a column goes to the column, all else to `meta`; what JSON cannot hold is refused by
its name. The id is ours throughout: whatever a block makes of it is not kept.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.pipelines.sources.assembly.batches import canonical_json
from corpusmill.pipelines.sources.assembly.fields import COLUMNS

if TYPE_CHECKING:
    from datatrove.data import Document

MEDIA = "media"
_BYTES = "media_bytes"


def to_document(text: str, identity: str, columns: dict[str, str | None], meta: str) -> Document:
    """datatrove's form of one document of ours."""
    from datatrove.data import Document, Media

    metadata: dict[str, Any] = json.loads(meta)
    metadata |= {name: value for name, value in columns.items() if value is not None}
    media = metadata.get(MEDIA)
    names = {field.name for field in dataclasses.fields(Media)}
    held: list[Media] = []
    if isinstance(media, list) and all(
        isinstance(one, dict) and {"id", "type", "url"} <= set(one) <= names for one in media
    ):
        held = [Media(**{**one, _BYTES: _decoded(one.get(_BYTES))}) for one in metadata.pop(MEDIA)]
    return Document(text=text, id=identity, media=held, metadata=metadata)


def metadata_of(document: Document) -> dict[str, str]:
    """What a block left in a document's metadata and media, each value as JSON. Raises ValueError."""
    held = {str(name): value for name, value in document.metadata.items()}
    if document.media:
        held[MEDIA] = [dataclasses.asdict(one) for one in document.media]
    found: dict[str, str] = {}
    for name, value in held.items():
        try:
            found[name] = json.dumps(value, default=_plain, sort_keys=True)
        except TypeError as error:
            raise ValueError(f"metadata `{name}` cannot be written as JSON: {error}") from error
    return found


def record_of(document: Document) -> dict[str, Any]:
    """As `metadata_of`, with plain values. Raises ValueError."""
    return {name: json.loads(value) for name, value in metadata_of(document).items()}


def columns_and_meta(document: Document) -> tuple[dict[str, str | None], str]:
    """The columns and the `meta` of a document that comes back. Raises ValueError."""
    found = record_of(document)
    columns: dict[str, str | None] = {}
    for name in COLUMNS:
        value = found.get(name)
        columns[name] = found.pop(name) if isinstance(value, str) else None
    return columns, canonical_json(found)


def _plain(value: Any) -> Any:
    """A value that JSON does not know, as one that it does. Raises TypeError."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    raise TypeError(f"it holds a value of the type {type(value).__name__}")


def _decoded(value: Any) -> bytes | None:
    return base64.b64decode(value) if isinstance(value, str) else None
