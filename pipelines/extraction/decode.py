"""Bytes of a page to text: which character set, and when to give up.

Order of belief: byte order mark; the zero bytes of UTF-16 and UTF-32 without one; other character sets in
bytes that are all ASCII (`seven_bit`); UTF-8 if the bytes are (nearly) valid UTF-8, because text in another
encoding practically never is; the HTTP header; the page's own `meta` tag or XML declaration; statistical
detection (resiliparse, uchardet) when the bytes are clearly not UTF-8. What a declaration gives is not
believed where it reads as no language (`misread`) and the other declaration or detection gives text that
does, nor where another set of one byte a character reads the words clearly better (`likely_set`). UTF-8 that
was encoded twice is encoded once, and text that was read by a wrong set before it became UTF-8 is read again.

Labels are read as the WHATWG Encoding standard reads them (`gb2312` is GBK, `iso-8859-1` is windows-1252,
...), GBK as its superset GB 18030. The standard itself believes the header before the bytes; mislabelled
UTF-8 pages are common, pages of other encodings that are valid UTF-8 by accident are not, hence the
difference.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

import numpy as np

from corpusmill.pipelines.extraction.charset_labels import codec_of, codec_of_standard
from corpusmill.pipelines.extraction.faults import PageFault
from corpusmill.pipelines.extraction.kernels.page_bytes import latin_letters
from corpusmill.pipelines.extraction.letter_pairs import is_judged
from corpusmill.pipelines.extraction.likely_set import (
    AGAINST_DECLARED,
    AGAINST_DETECTED,
    is_no_language,
    likelier,
    read_wrongly_before,
)
from corpusmill.pipelines.extraction.media_type import media_type
from corpusmill.pipelines.extraction.misread import encoded_once, misread, no_latin
from corpusmill.pipelines.extraction.seven_bit import of_seven_bits

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = re.compile(rb"charset\s*=\s*(?:[\"']\s*)?([\w.:+-]+)", re.IGNORECASE)
_META_BEFORE_CHARSET = len(b"<meta") + 400  # bytes from the tag's beginning to the word at most
_XML_ENCODING = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:+-]+)", re.IGNORECASE)
_PRESCAN_BYTES = 4096  # browsers look at 1,024; pages with long heads declare later
_WIDE_BYTES = 4096  # at the head
_UTF16_ZEROS, _UTF16_OTHERS = 0.05, 0.25  # least share of zero bytes there; most of these on the other side
_SEVEN_BITS = ("iso2022", "hz", "utf_7")
# Detected names that the Encoding standard does not know, and one with its Ukrainian letters. Others that it
# does not know (IBM852, ...) are mostly detected in error.
_DETECTED = {"cp949": "cp949", "uhc": "cp949", "tis-620": "cp874", "iso8859-11": "cp874", "koi8-r": "koi8-u"}
_ASCII = bytes(range(128))
_MOSTLY_UTF8 = 0.5  # above this share of broken characters, detection may say something better
_HARDLY_UTF8 = 0.75  # above it, sets of one byte a character are told apart by their letters
_LEAST_COUNTED, _COUNTED_SHARE = 40, 0.02


def decode(raw: bytes, content_type: str | None, max_replaced: float) -> tuple[str, str]:
    """The text of a page and the name of the codec that read it.

    `content_type` is the HTTP header's value. `max_replaced` bounds the share of replacement characters
    (U+FFFD) among the non-ASCII characters of the text; these count as 40 and as 2% of all characters at
    least, so that a stray byte condemns no page that is ASCII otherwise. Raises PageFault `bad_charset` when
    no candidate stays below it.
    """
    for mark, codec in _BOMS:
        if raw.startswith(mark):
            return _accept(raw, codec, max_replaced, len(mark))
    wide = _wide_without_mark(raw)
    if wide is not None:
        return _accept(raw, wide, max_replaced)
    declared = [codec for codec in (_from_header(content_type), _from_page(raw)) if codec]
    for codec in declared:
        if codec.startswith(_SEVEN_BITS) and _is_of(raw, codec):  # its bytes are valid UTF-8 as well
            return _accept(raw, codec, max_replaced)
    decoded = of_seven_bits(raw)
    if decoded is not None:
        return decoded
    text, broken = _attempt(raw, "utf-8")
    if broken <= max_replaced:
        if text.isascii():
            return text, "utf-8"
        letters, doubles = latin_letters(np.frombuffer(raw, np.uint8))
        once = encoded_once(text, doubles)
        if once is not None:
            return once, "utf-8 twice"
        before = read_wrongly_before(text, raw, letters)
        return (text, "utf-8") if before is None else (before.text, f"{before.codec} as cp1252")
    return _not_utf8(raw, declared, (text, broken), max_replaced)


def ascii_in_place(codec: str) -> bool:
    """Whether ASCII stands as it is in bytes that `codec` reads, and tags can be found in them."""
    return not codec.startswith(("utf-16", "utf-32", *_SEVEN_BITS))


def _not_utf8(
    raw: bytes, declared: list[str], as_utf8: tuple[str, float], max_replaced: float
) -> tuple[str, str]:
    """What `decode` gives for bytes that are not UTF-8. Raises PageFault."""
    text, broken = as_utf8
    detected = _detected(raw) if broken > _MOSTLY_UTF8 else "utf-8"
    sound, doubtful = _believed(raw, (*declared, detected), max_replaced)
    if broken > _HARDLY_UTF8:
        needed = AGAINST_DECLARED if sound in declared else AGAINST_DETECTED
        believed = sound or (doubtful if doubtful is not None and is_judged(doubtful) else None)
        better = likelier(raw, believed, needed)
        if better is not None and (found := _attempt(raw, better))[1] <= max_replaced:
            return found[0], better
    if sound is not None:
        if is_no_language(raw, sound):
            raise _no_language(len(raw) - len(raw.lstrip(_ASCII)), sound)
        return _attempt(raw, sound)[0], sound
    if doubtful is not None:
        attempt = _attempt(raw, doubtful)[0]
        begin = 0 if doubtful.startswith("utf") else no_latin(attempt, doubtful)
        if begin is None:
            return attempt, doubtful
        raise _no_language(begin, doubtful)
    if broken * _not_ascii(text) <= max_replaced * max(_LEAST_COUNTED, _COUNTED_SHARE * len(text)):
        return text, "utf-8"
    tried = " or ".join(dict.fromkeys(("utf-8", *declared)))
    raise PageFault("bad_charset", _undecodable(raw, "utf-8", broken, tried))


def _no_language(begin: int, codec: str) -> PageFault:
    why = f"byte {begin} and what follows read as no language in {codec}, and in no other encoding"
    return PageFault("bad_charset", why)


def _believed(raw: bytes, codecs: Iterable[str], max_replaced: float) -> tuple[str | None, str | None]:
    """(the first codec that reads bytes as a language might be, else None; the first that reads them as no
    language, else None)."""
    doubtful: str | None = None
    for codec in dict.fromkeys(codecs):
        if codec == "utf-8":
            continue
        attempt, share = _attempt(raw, codec)
        if share > max_replaced:
            continue
        if not misread(attempt, codec):
            return codec, None
        doubtful = doubtful or codec
    return None, doubtful


def _attempt(raw: bytes, codec: str) -> tuple[str, float]:
    """Decoded text and the share of its non-ASCII characters that are U+FFFD."""
    text = raw.decode(codec, "replace")
    replaced = text.count("�") if "�" in text else 0  # `in` is faster by far
    return text, replaced / _not_ascii(text) if replaced else 0.0


def _not_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _is_of(raw: bytes, codec: str) -> bool:
    """Whether bytes hold what sets a seven-bit encoding apart, and decode by it."""
    if codec.startswith("iso2022"):
        return b"\x1b" in raw
    if (b"~{" if codec == "hz" else b"+") not in raw:
        return False
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


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
    return _DETECTED.get(name) or codec_of_standard(name) or "utf-8"


def _wide_without_mark(raw: bytes) -> str | None:
    """The codec of UTF-32 or UTF-16 without a byte order mark, by where ASCII in it has its zero bytes."""
    head = raw[:_WIDE_BYTES]
    if len(raw) % 4 == 0 and len(raw) >= 4:
        # A page begins with ASCII, and no character lies beyond plane 16.
        if head[0] and not any(head[1:4]) and not any(head[3::4]) and max(head[2::4]) <= 16:
            return "utf-32-le"
        if head[3] and not any(head[:3]) and not any(head[::4]) and max(head[1::4]) <= 16:
            return "utf-32-be"
    if len(raw) % 2 or not raw or (head[0] == 0) == (head[1] == 0):  # a page begins with ASCII
        return None
    first, second = head[0::2].count(0), head[1::2].count(0)
    if max(first, second) < _UTF16_ZEROS * len(head) or min(first, second) > _UTF16_OTHERS * max(
        first, second
    ):
        return None
    return "utf-16-be" if first > second else "utf-16-le"
