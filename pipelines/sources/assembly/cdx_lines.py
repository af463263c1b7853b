"""Lines of CDX and CDXJ files: which record of which WARC file each of them names.

CDX: fields in the order of a legend such as ` CDX N b a m s k r M S V g`, whose first character separates
them (archive.org/web/researcher/cdx_legend.php). Without a legend lines of 9, 10 and 11 fields are read as
pywb reads them. CDXJ: `urlkey timestamp {json}`, as Common Crawl's and pywb's indexes have it, or the JSON
alone, as their servers answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from corpusmill.pipelines.sources.assembly.json_limits import load_json

LINE_LIMIT = 2**20  # bytes
# pywb/indexer/cdxindexer and pywb/warcserver/index/cdxobject name these forms.
_UNNAMED = {9: "N b a m s k r V g", 10: "N b a m s k r M V g", 11: "N b a m s k r M S V g"}
_OFFSETS = ("V", "v")  # of a compressed file, of an uncompressed one


@dataclass(frozen=True, slots=True)
class Entry:
    """One record: `offset` and `length` (None: not stated) in stored bytes of the file `filename`.

    `url`, `mime` and `digest` are "" and `status` is None where the index does not state them; `mime` is the
    type detected from the content where there is one, else the server's. `languages` keep their order.
    """

    filename: str
    offset: int
    length: int | None
    url: str
    mime: str
    status: int | None
    digest: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Legend:
    """The order of a CDX file's fields, by their letters, and what separates them."""

    separator: str
    letters: tuple[str, ...]


def legend_of(line: bytes) -> Legend | None:
    """The legend that a line is, if it is one."""
    if line[1:4] != b"CDX" or line[4:5] != line[:1] or line[:1].isalnum():
        return None
    separator, _, *letters = line.decode("utf-8", "replace").rstrip("\r\n").partition("CDX")
    return Legend(separator, tuple("".join(letters).strip(separator).split(separator)))


def is_heading(line: bytes) -> bool:
    """Whether a line is a heading of a CDXJ file (`!meta {...}`, `@context [...]`) and names no record."""
    return line[:1] in (b"!", b"@")


def entry_of(line: bytes, legend: Legend | None) -> Entry:
    """The record that a line names; `legend`: the file's own, if it has one. Raises ValueError."""
    text = line.decode()
    if "\0" in text:
        raise ValueError("NUL in an index line")
    if legend_of(line) is not None:
        raise ValueError("another legend than the one that the file begins with")
    if text.startswith("{"):
        return _of_json(load_json(line))
    parts = text.split(" ", 2)
    if len(parts) == 3 and parts[2].startswith("{"):
        return _of_json(load_json(parts[2].encode()))
    return _of_fields(text, legend)


def _of_json(fields: Any) -> Entry:
    if not isinstance(fields, dict):
        raise ValueError("its JSON is not an object")
    given = {name: _text(fields.get(name)) for name in _JSON_NAMES}
    "".join(given.values()).encode()  # escapes can make half of a surrogate pair, which is no text
    return Entry(
        _filename(given["filename"]),
        _offset(given["offset"]),
        _length(given["length"]),
        given["url"],
        given["mime-detected"] or given["mime"],
        _status(given["status"]),
        given["digest"],
        tuple(code for code in given["languages"].split(",") if code),
    )


_JSON_NAMES = (
    "filename", "offset", "length", "url", "mime", "mime-detected", "status", "digest", "languages",
)  # fmt: skip


def _text(value: Any) -> str:
    """A field's value as text; "" where the index states none."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return "" if value == "-" else str(value)
    return ""


def _of_fields(text: str, legend: Legend | None) -> Entry:
    separator = legend.separator if legend else " "
    values = text.split(separator)
    letters = legend.letters if legend else tuple(_UNNAMED.get(len(values), "").split())
    if not letters:
        raise ValueError(f"{len(values)} fields and no legend; lines have 9, 10 or 11, or JSON as the third")
    if len(values) != len(letters):
        raise ValueError(f"{len(values)} fields where the legend names {len(letters)}")
    given = {letter: "" if value == "-" else value for letter, value in zip(letters, values, strict=True)}
    return Entry(
        _filename(given.get("g", "")),
        _offset(next((given[letter] for letter in _OFFSETS if given.get(letter)), "")),
        _length(given.get("S", "")),
        given.get("a", ""),
        given.get("m", ""),
        _status(given.get("s", "")),
        given.get("k", ""),
        (),
    )


def _filename(value: str) -> str:
    if not value:
        raise ValueError("no file name")
    if ".." in value.replace("\\", "/").split("/"):
        raise ValueError(f"the file name {value[:100]!r} leads out of its folder")
    return value


def _number(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None


def _offset(value: str) -> int:
    number = _number(value)
    if number is None:
        raise ValueError(f"no valid offset ({value[:40]!r})" if value else "no offset")
    return number


def _length(value: str) -> int | None:
    """The stored length; old indexes write 0 where they do not know it."""
    number = _number(value) if value else 0
    if number is None:
        raise ValueError(f"no valid length ({value[:40]!r})")
    return number or None


def _status(value: str) -> int | None:
    return _number(value) if value else None


def same_url(one: str, other: str) -> bool:
    """Whether two spellings may be of one URL: case, a closing slash, a fragment and %-escapes aside."""
    return one == other or _bare(one) == _bare(other)


def _bare(url: str) -> str:
    return unquote(url.partition("#")[0].strip().replace("+", " ")).rstrip("/").lower()


def same_digest(one: str, other: str) -> bool:
    """Whether two digests, with or without the name of their algorithm, may be of one content."""
    bare, other_bare = one.rpartition(":")[2].lower(), other.rpartition(":")[2].lower()
    return bare == other_bare or len(bare) != len(other_bare)  # another length is another algorithm
