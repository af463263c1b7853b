"""URLs of objects: their parts, and how messages show them.

A URL is `SCHEME://BUCKET/KEY`; of `https` and `http` the bucket is the host, with its port. Keys stand as
they are, without percent-encoding, but in `https` and `http` URLs, which are written as browsers have them.
URLs with a user, a password or a query are refused: these carry credentials, which belong into the
environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote, unquote

from corpusmill.pipelines.contract.errors import RecipeError

Scheme = Literal["s3", "gs", "az", "https", "http"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
WEB: tuple[Scheme, ...] = ("https", "http")  # read alone, and without listing

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"]*)\?[^\s'\")]*")


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path."""
    return _URL.fullmatch(text) is not None


def masked(text: str) -> str:
    """`text` with `***` for users, passwords and queries of the URLs in it: they may be secrets."""
    return _QUERY.sub(r"\g<url>?***", _USER.sub("***@", text))


def local_pattern(pattern: str) -> str:
    """The pattern of a path that a `file://` URL stands for; any other pattern as it is."""
    return unquote(pattern.removeprefix("file://")) if pattern.startswith("file:///") else pattern


@dataclass(frozen=True)
class ObjectUrl:
    """One object, or a pattern of objects. `key`: as the store has it, without a leading slash and without
    percent-encoding."""

    scheme: Scheme
    bucket: str
    key: str

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.bucket}"

    def __str__(self) -> str:
        return f"{self.root}/{quote(self.key) if self.scheme in WEB else self.key}"


def parse_url(text: str) -> ObjectUrl:
    """The parts of a URL. Raises RecipeError, which shows it masked."""
    match = _URL.fullmatch(text)
    shown = masked(text)
    if match is None:
        raise RecipeError(f"{shown} is no URL; write it as s3://bucket/folder/*.jsonl.zst")
    scheme, rest = match[1].lower(), match[2]
    known = next((one for one in SCHEMES if one == scheme), None)
    if known is None:
        raise RecipeError(f"{shown}: {scheme}:// is not read; there are {', '.join(SCHEMES)} and file")
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        cure = "take the credentials out of the URL and set them in the environment"
        raise RecipeError(f"{shown} holds a user or a password; {cure} (docs/object_storage.md)")
    if known in WEB and "?" in key:
        cure = "name the object by s3://, gs:// or az:// with credentials in the environment, or fetch it"
        raise RecipeError(f"{shown} has a query, as signed URLs do, and is not read; {cure}")
    if known in WEB:
        key = unquote(key.partition("#")[0])
    if not bucket:
        raise RecipeError(f"{shown} names no {'host' if known in WEB else 'bucket'}; add it")
    if not key:
        raise RecipeError(f"{shown} names a whole {'host' if known in WEB else 'bucket'}; add a key")
    if "" in key.split("/")[:-1] or {".", ".."} & set(key.split("/")):
        raise RecipeError(f"{shown}: a key with an empty part, `.` or `..` is not read; rename the object")
    return ObjectUrl(known, bucket, key)
