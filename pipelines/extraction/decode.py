"""Bytes of a page to text: which character set, and when to give up.

Order of belief: byte order mark; the zero bytes of UTF-16 without one; escape sequences of ISO 2022 in
bytes that are all ASCII, which are ISO-2022-JP or no text at all; UTF-8 if the bytes are (nearly) valid
UTF-8, because text in another encoding practically never is; the HTTP header; the page's own `meta` tag or
XML declaration; statistical detection (resiliparse, uchardet) when the bytes are clearly not UTF-8. Labels
are read as the WHATWG Encoding standard reads them (`gb2312` is GBK, `iso-8859-1` is windows-1252, ...),
GBK as its superset GB 18030. The standard itself believes the header before the bytes; mislabelled UTF-8
pages are common, pages of other encodings that are valid UTF-8 by accident are not, hence the difference.
"""

from __future__ import annotations

import codecs
import re

from corpusmill.pipelines.extraction.faults import PageFault
from corpusmill.pipelines.extraction.media_type import media_type

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CHARSET = re.compile(rb"charset\s*=\s*(?:[\"']\s*)?([\w.:+-]+)", re.IGNORECASE)
_META_BEFORE_CHARSET = len(b"<meta") + 400  # bytes from the tag's beginning to the word at most
_XML_ENCODING = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:+-]+)", re.IGNORECASE)
_PRESCAN_BYTES = 4096  # browsers look at 1,024; pages with long heads declare later
_SUPERSETS = {
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_UTF16_BYTES = 4096  # at the head
_UTF16_ZEROS, _UTF16_OTHERS = 0.05, 0.25  # least share of zero bytes there; most of these on the other side
_ESCAPES = re.compile(rb"\x1b[$(]")
# Detected names that the Encoding standard does not know by themselves.
_DETECTED = {"cp949": "cp949", "uhc": "cp949", "tis-620": "cp874", "iso8859-11": "cp874"}
_MOSTLY_UTF8 = 0.5  # above this share of broken characters, detection may say something better


def decode(raw: bytes, content_type: str | None, max_replaced: float) -> tuple[str, str]:
    """The text of a page and the name of the codec that read it.

    `content_type` is the HTTP header's value. `max_replaced` bounds the share of replacement characters
    (U+FFFD) among the non-ASCII characters of the text. Raises PageFault `bad_charset` when no candidate
    stays below it.
    """
    for mark, codec in _BOMS:
        if raw.startswith(mark):
            return _accept(raw, codec, max_replaced, len(mark))
    wide = _utf16_without_mark(raw)
    if wide is not None:
        return _accept(raw, wide, max_replaced)
    declared = [codec for codec in (_from_header(content_type), _from_page(raw)) if codec]
    for codec in declared:
        if codec.startswith("iso2022") and b"\x1b" in raw:  # seven-bit: its bytes are valid UTF-8 as well
            return _accept(raw, codec, max_replaced)
    if _ESCAPES.search(raw) and raw.isascii():
        return _of_escapes(raw)
    text, broken = _attempt(raw, "utf-8")
    if broken <= max_replaced:
        return text, "utf-8"
    for codec in declared:
        if codec != "utf-8":
            text, share = _attempt(raw, codec)
            if share <= max_replaced:
                return text, codec
    if broken > _MOSTLY_UTF8:
        codec = _detected(raw)
        if codec not in ("utf-8", *declared):
            text, share = _attempt(raw, codec)
            if share <= max_replaced:
                return text, codec
    tried = " or ".join(dict.fromkeys(("utf-8", *declared)))
    raise PageFault("bad_charset", _undecodable(raw, "utf-8", broken, tried))


def codec_of(label: str) -> str | None:
    """The Python codec a WHATWG encoding label stands for; None for an unknown label."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    mapped = map_encoding_to_html5(label, fallback_utf8=False)
    if mapped is None:
        return None
    name = str(mapped).lower()
    return _SUPERSETS.get(name, name)


def _attempt(raw: bytes, codec: str) -> tuple[str, float]:
    """Decoded text and the share of its non-ASCII characters that are U+FFFD."""
    text = raw.decode(codec, "replace")
    replaced = text.count("�")
    if not replaced:
        return text, 0.0
    return text, replaced / (len(text) - len(text.encode("ascii", "ignore")))


def _accept(raw: bytes, codec: str, max_replaced: float, mark: int = 0) -> tuple[str, str]:
    """The text behind a byte order mark of `mark` bytes. Raises PageFault."""
    text, share = _attempt(raw[mark:], codec)
    if share > max_replaced:
        raise PageFault("bad_charset", _undecodable(raw, codec, share, codec))
    return text, codec


def _undecodable(raw: bytes, codec: str, share: float, tried: str) -> str:
    """What is told of bytes that do not decode: the first of them, and how many."""
    try:
        raw.decode(codec)
        place = "U+FFFD stands in the text"
    except UnicodeDecodeError as error:
        place = f"byte {error.start} (0x{raw[error.start]:02x}) is the first that is no {codec}"
    return f"{place}; {share:.0%} of the non-ASCII characters do not decode as {tried}"


def _from_header(content_type: str | None) -> str | None:
    stated = media_type(content_type).charset
    return codec_of(stated) if stated else None


def _from_page(raw: bytes) -> str | None:
    head = raw[:_PRESCAN_BYTES]
    found = _meta_charset(head) or _XML_ENCODING.search(head)
    if not found:
        return None
    codec = codec_of(found[1].decode("ascii"))
    # A page whose ASCII declaration could be read at all is not UTF-16 (WHATWG: take UTF-8 instead).
    return "utf-8" if codec and codec.startswith("utf-16") else codec


def _meta_charset(head: bytes) -> re.Match[bytes] | None:
    """The first `charset=` inside a `meta` tag, found from the word backwards: tags may be very many."""
    for found in _CHARSET.finditer(head):
        before = head[max(0, found.start() - _META_BEFORE_CHARSET) : found.start()]
        if b"<meta" in before[before.rfind(b">") + 1 :].lower():
            return found
    return None


def _detected(raw: bytes) -> str:
    """The codec that statistics of the bytes speak for; "utf-8" where they speak for none."""
    from resiliparse.parse.encoding import detect_encoding

    name = str(detect_encoding(raw, html5_compatible=False) or "utf-8").lower()
    return _DETECTED.get(name) or codec_of(name) or "utf-8"


def _utf16_without_mark(raw: bytes) -> str | None:
    """The codec of UTF-16 without a byte order mark: ASCII in it has its zero bytes all on one side."""
    head = raw[:_UTF16_BYTES]
    if len(raw) % 2 or not raw or (head[0] == 0) == (head[1] == 0):  # a page begins with ASCII
        return None
    first, second = head[0::2].count(0), head[1::2].count(0)
    if max(first, second) < _UTF16_ZEROS * len(head) or min(first, second) > _UTF16_OTHERS * max(
        first, second
    ):
        return None
    return "utf-16-be" if first > second else "utf-16-le"


def _of_escapes(raw: bytes) -> tuple[str, str]:
    """ASCII bytes with escape sequences of ISO 2022, read as ISO-2022-JP. Raises PageFault for others."""
    try:
        return raw.decode("iso2022_jp_ext"), "iso2022_jp"
    except UnicodeDecodeError as error:
        why = f"escape sequences that are not ISO-2022-JP: byte {error.start}, {error.reason}"
        raise PageFault("bad_charset", why) from error
