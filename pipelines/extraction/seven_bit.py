"""Encodings whose bytes are all ASCII: ISO 2022 by escape sequences, HZ (RFC 1843) and UTF-7 (RFC 2152).

Such a page is valid UTF-8 as well, and would pass as text in which no word can be read.
"""

from __future__ import annotations

import re

from corpusmill.pipelines.extraction.faults import PageFault

_ESCAPES = re.compile(rb"\x1b[$(]")
_KOREAN = re.compile(rb"\x1b\$\)C")
_SHIFT_OUT = b"\x0e"
# A pair begins with no `~`, so each run ends at the first one there; no way back is kept.
_HZ = re.compile(rb"~\{(?:[!-}][!-~])++~\}")
# A run of letters and base64 up to a hyphen; one place may begin a match in each run, so time is linear.
_UTF_7 = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{4,}+-")
_FROM_PLUS = re.compile(rb"\+[A-Za-z0-9+/]*+")  # the rest of a run from its first plus sign on
_BASE64, _LEAST_RUN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 4
_LEAST_HZ = 6  # characters of two bytes
_LEAST_UTF_7 = 5  # shifts to another character set


def of_seven_bits(raw: bytes) -> tuple[str, str] | None:
    """(text, codec) of bytes that are all ASCII and hold another character set; None where they do not.

    HZ and UTF-7 are believed without a declaration where there are six characters of HZ or five shifts of
    UTF-7, and every shift decodes to what is not ASCII. Raises PageFault for escape sequences that are
    neither ISO-2022-JP nor ISO-2022-KR.
    """
    if not raw.isascii():
        return None
    if _ESCAPES.search(raw):
        return _of_escapes(raw)
    shifts = _HZ.findall(raw) if b"~{" in raw else []
    if sum(len(shift) - 4 for shift in shifts) >= 2 * _LEAST_HZ and all(
        _decodes(shift, "hz") for shift in shifts
    ):
        return _HZ.sub(_from_hz, raw).decode(), "hz"
    if not _has_signs(raw, b"+", _LEAST_UTF_7):
        return None
    if _all_shift(raw):
        try:
            return raw.decode("utf_7"), "utf_7"
        except UnicodeDecodeError:  # a plus sign that begins no shift
            return _UTF_7.sub(_from_utf_7, raw).decode(), "utf_7"
    return None


def _all_shift(raw: bytes) -> bool:
    """Whether the runs of `_UTF_7` that hold a plus sign decode from there on, and are enough."""
    shifts = 0
    for found in _FROM_PLUS.finditer(raw):
        begin, end = found.span()
        if not raw.startswith(b"-", end):
            continue
        before = raw[max(0, begin - _LEAST_RUN) : begin]
        if end - begin + len(before) - len(before.rstrip(_BASE64)) < _LEAST_RUN:
            continue
        if not _decodes(raw[begin : end + 1], "utf_7"):
            return False
        shifts += 1
    return shifts >= _LEAST_UTF_7


def _has_signs(raw: bytes, sign: bytes, least: int) -> bool:
    """Whether a sign stands in bytes so many times at least; looks no further than needed."""
    at = -1
    for _ in range(least):
        at = raw.find(sign, at + 1)
        if at < 0:
            return False
    return True


def _of_escapes(raw: bytes) -> tuple[str, str]:
    """ASCII bytes with escape sequences of ISO 2022. Raises PageFault for others than Japan's and Korea's."""
    if _KOREAN.search(raw) and _SHIFT_OUT in raw:
        codec, name = "iso2022_kr", "ISO-2022-KR"
    else:
        codec, name = "iso2022_jp_ext", "ISO-2022-JP"
    try:
        return raw.decode(codec), codec.removesuffix("_ext")
    except UnicodeDecodeError as error:
        why = f"escape sequences that are not {name}: byte {error.start}, {error.reason}"
        raise PageFault("bad_charset", why) from error


def _decodes(shift: bytes, codec: str) -> bool:
    """Whether a shift holds other characters than ASCII and nothing else."""
    try:
        text = shift.decode(codec)
    except UnicodeDecodeError:
        return False
    return not any(c.isascii() for c in text)


def _from_hz(shift: re.Match[bytes]) -> bytes:
    return shift[0].decode("hz").encode()


def _from_utf_7(shift: re.Match[bytes]) -> bytes:
    return shift[0].decode("utf_7").encode() if b"+" in shift[0] else shift[0]
