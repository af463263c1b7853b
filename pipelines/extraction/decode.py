"""Bytes of a page to text: which character set, and when to give up.

Order of belief: byte order mark; UTF-8 if the bytes are (nearly) valid UTF-8, because text in another
encoding practically never is; the HTTP header; the page's own `meta` tag or XML declaration; statistical
detection (resiliparse, uchardet) when the bytes are clearly not UTF-8. Labels are read as the WHATWG
Encoding standard reads them (`gb2312` is GBK, `iso-8859-1` is windows-1252, ...), GBK as its superset
GB 18030. The standard itself believes the header before the bytes; mislabelled UTF-8 pages are common,
pages of other encodings that are valid UTF-8 by accident are not, hence the difference.
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
_MOSTLY_UTF8 = 0.5  # above this share of broken characters, detection may say something better


def decode(raw: bytes, content_type: str | None, max_replaced: float) -> tuple[str, str]:
    """The text of a page and the name of the codec that read it.

    `content_type` is the HTTP header's value. `max_replaced` bounds the share of replacement characters
    (U+FFFD) among the non-ASCII characters of the text. Raises PageFault `bad_charset` when no candidate
    stays below it.
    """
    for mark, codec in _BOMS:
        if raw.startswith(mark):
            return _accept(raw[len(mark) :], codec, max_replaced)
    declared = [codec for codec in (_from_header(content_type), _from_page(raw)) if codec]
    for codec in declared:
        if codec.startswith("iso2022") and b"\x1b" in raw:  # seven-bit: its bytes are valid UTF-8 as well
            return _accept(raw, codec, max_replaced)
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
    raise PageFault(
        "bad_charset", f"{broken:.0%} of the non-ASCII characters do not decode as UTF-8 or as declared"
    )


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


def _accept(raw: bytes, codec: str, max_replaced: float) -> tuple[str, str]:
    text, share = _attempt(raw, codec)
    if share > max_replaced:
        raise PageFault("bad_charset", f"{share:.0%} of the non-ASCII characters do not decode as {codec}")
    return text, codec


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
    from resiliparse.parse.encoding import detect_encoding

    name = str(detect_encoding(raw)).lower()
    return _SUPERSETS.get(name, name)
