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


def metadata_of(document: Document) -> dict[str, Any]:
    """What a block left in a document's metadata and media, as JSON can hold it. Raises ValueError."""
    found = {str(name): plain(value, str(name)) for name, value in document.metadata.items()}
    if document.media:
        media = [dataclasses.asdict(one) for one in document.media]
        found[MEDIA] = [plain(one, MEDIA) for one in media]
    return found


def columns_and_meta(document: Document) -> tuple[dict[str, str | None], str]:
    """The columns and the `meta` of a document that comes back. Raises ValueError."""
    found = metadata_of(document)
    columns: dict[str, str | None] = {}
    for name in COLUMNS:
        value = found.get(name)
        columns[name] = found.pop(name) if isinstance(value, str) else None
    return columns, canonical_json(found)


def plain(value: Any, name: str) -> Any:
    """A value of a block's as JSON has it; `name`: the metadata it stands under. Raises ValueError."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist(), name)
    if isinstance(value, dict):
        return {str(key): plain(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, name) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, name) for item in value), key=repr)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    raise ValueError(f"metadata `{name}` is of the type {type(value).__name__}, which JSON cannot hold")


def _decoded(value: Any) -> bytes | None:
    return base64.b64decode(value) if isinstance(value, str) else None
