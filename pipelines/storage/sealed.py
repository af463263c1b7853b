"""JSON files of a run: written at once or not at all, and sealed.

A sealed file holds a record (`records/`) and its `seal`, a digest of the record and of the place it belongs
to: a file that was altered, or lies where another belongs, is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, TypeVar

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.records.codec import Filed, decode_file, encode_file
from corpusmill.pipelines.system.faultpoints import faultpoint
from corpusmill.pipelines.system.faults import naming
from corpusmill.pipelines.system.process import sync, without_collecting

F = TypeVar("F", bound=Filed)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits, read in pieces of 1 MiB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, content: bytes, temporary: Path | None = None) -> None:
    """Replace `path` by `content`: a reader sees the old file or the new one, never a part.

    The temporary name is fixed, so that what a kill leaves behind is replaced by the next try. That takes one
    writer at a time, as the runner is, which holds the folder's lock; where there may be several, each gives
    a `temporary` of its own on the same file system.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary or path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        faultpoint("atomic-before-rename")
        temporary.replace(path)
        sync(path.parent)


def json_bytes(value: Any) -> bytes:
    """Indented JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def write_json(path: Path, value: Any) -> None:
    """Atomic write of indented JSON with sorted keys."""
    write_atomic(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """JSON of a file the run wrote. Raises IntegrityError naming the file and the cure."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise damaged(f"{path}: missing") from error
    except (ValueError, RecursionError) as error:
        raise damaged(f"{path}: not valid JSON ({error})") from error


def sealed_bytes(record: Filed, place: str) -> bytes:
    """A record with a `seal`, the digest of it and of `place`, the name of what it is."""
    value = encode_file(record)
    return json_bytes({**value, "seal": digest([place, value])})


def write_sealed(path: Path, record: Filed, place: str) -> None:
    """Atomic write of `sealed_bytes`."""
    write_atomic(path, sealed_bytes(record, place))


def read_sealed(kind: type[F], path: Path, place: str) -> F:
    """The record of a sealed file.

    Raises IntegrityError where it is missing, is not what was written, or belongs to another place, and
    OtherVersionError where another version of corpusmill wrote it.
    """
    with without_collecting():
        value = read_json(path)
        seal = value.pop("seal", None) if isinstance(value, dict) else None
        if seal is None:
            raise damaged(f"{path}: has no seal: it was altered")
        if seal != digest([place, value]):
            raise damaged(f"{path}: its content differs from its seal")
        return decode_file(kind, value, str(path))
