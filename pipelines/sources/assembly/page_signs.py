"""What a response's body is by its first bytes: a page, or something else sent under a page's name."""

from __future__ import annotations

import re

HEAD_BYTES = 4096  # what is looked at

# WHATWG MIME Sniffing, "identifying a resource with an unknown MIME type"; the first four even without the
# byte that ends a tag there.
_HTML = re.compile(
    rb"<(?:!doctype html|html|head|body|!--)"
    rb"|<(?:script|iframe|h1|div|font|table|a|style|title|b|br|p)[ \t\r\n\f/>]",
    re.IGNORECASE,
)
_BLANK = b" \t\r\n\f"
_BOM = b"\xef\xbb\xbf"
_BINARY = (
    *((b"%PDF-", "application/pdf"), (b"%!PS-Adobe-", "application/postscript")),
    *((b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif")),
    *(
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"PK\x03\x04", "application/zip"),
        (b"Rar!\x1a\x07", "application/rar"),
    ),
    *(
        (b"\x1f\x8b\x08", "application/gzip"),
        (b"BZh", "application/bzip2"),
        (b"7z\xbc\xaf", "application/7z"),
    ),
    *((b"\xfd7zXZ\0", "application/xz"), (b"wOFF", "font/woff"), (b"wOF2", "font/woff2")),
    *((b"OggS\0", "application/ogg"), (b"ID3", "audio/mpeg"), (b"\x7fELF", "application/elf")),
    *((b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/ole"), (b"\0\0\1\0", "image/x-icon")),
)
_TAG = re.compile(rb"<[A-Za-z!/?]")
# Guards of JSON against inclusion as a script, then an object with its first key, alone or in lists.
_OBJECT = re.compile(
    rb"(?:\)\]\}',?|while\(1\);|for\(;;\);)?\s*(?:\[\s*){0,32}\{\s*\"[^\"\\\r\n]{0,256}\"\s*:"
)
# A list of plain values, or something empty: JSON only where the body ends in the bracket, too.
_LIST = re.compile(
    rb"(?:\[\s*){1,32}(?:\"[^\"\\\r\n]{0,256}\"|-?[0-9][0-9.eE+-]{0,32}|true|false|null)\s*[,\]]"
    rb"|(?:\{\s*\}|\[\s*\])\s*\Z"
)
_NAME = rb"[A-Za-z_$][\w$.]{0,100}"
_SCRIPT = re.compile(
    rb"[;!+(\s]{0,16}(?:async\s+)?function\s*(?:[\w$]{1,100}\s*)?\("  # a function, called at once or not
    rb"|[;!(\s]{0,16}\([\w$,\s]{0,100}\)\s*=>"
    rb"|\(?['\"]use strict['\"]\s*[;)]"
    rb"|(?:var|let|const)\s+[\w$]{1,100}\s*[=,;]"
    rb"|import\s[^<>;\r\n]{0,200}['\"]|export\s+(?:default|const|function|class|\{)"
    rb"|if\s*\([^<>\r\n]{0,200}\)\s*\{|try\s*\{"
    rb"|(?:window|document|self|this|globalThis|location|jQuery|\$|define|require)[.\[(=]"
    rb"|" + _NAME + rb"\s*=\s*(?:" + _NAME + rb"\s*\|\||[\[{(\"'0-9]|function|new\s)"
    rb"|" + _NAME + rb"\(\s*[\[{\"']"  # JSONP
)
_STYLE = re.compile(
    rb"@(?:charset|import|namespace)\s+[^<>;]{1,200};|@(?:media|supports|layer|font-face|keyframes)\b[^<>{};]{0,200}\{"
    rb"|[^<>{};@]{1,400}\{\s*(?:[-*_]{0,2}[A-Za-z-]{1,60}\s*:[^<>{};]{1,400}[;}]|\})"
)
_MARKS = b"{}=;"
_CODE_MARKS = 0.02  # the least share of them in scripts and style sheets; prose has under a tenth of it


def looks_like_html(body: bytes | memoryview) -> bool:
    """Whether a page sent without a media type is one to browsers (after white space and a BOM)."""
    return _HTML.match(bytes(body[:HEAD_BYTES]).removeprefix(_BOM).lstrip(_BLANK)) is not None


def other_than_html(body: bytes | memoryview) -> str | None:
    """The media type of a body sent as a page that plainly is none; None for what may be a page.

    Files are known by their first bytes, JSON by its first key or values. Scripts and style sheets must
    begin as such (after comments), have the marks of code and nothing that looks like a tag in the first
    `HEAD_BYTES`. Browsers show such a response as a page of text; there is no prose in it.
    """
    first = bytes(body[:HEAD_BYTES])
    head = first.removeprefix(_BOM)
    if head.lstrip(_BLANK)[:1] == b"<":
        return None
    for mark, kind in _BINARY:
        if first.startswith(mark):
            return kind
    if first[8:12] == b"WEBP" and first.startswith(b"RIFF"):
        return "image/webp"
    if first[4:8] == b"ftyp":
        return "video/mp4"
    start = _behind_comments(head)
    if start < len(head) and head[start] == 60:  # <
        return None
    if _OBJECT.match(head, start) or (
        _LIST.match(head, start) and bytes(body[-64:]).rstrip()[-1:] in (b"]", b"}")
    ):
        return "application/json"
    if _TAG.search(head) or len(head) - len(head.translate(None, _MARKS)) < _CODE_MARKS * len(head):
        return None
    if _SCRIPT.match(head, start):
        return "text/javascript"
    return "text/css" if _STYLE.match(head, start) else None


def _behind_comments(head: bytes) -> int:
    """Where `head` goes on behind white space and comments of scripts and style sheets."""
    at = 0
    while True:
        while at < len(head) and head[at] in _BLANK:
            at += 1
        if head.startswith(b"/*", at):
            end = head.find(b"*/", at + 2) + 2
        elif head.startswith(b"//", at):
            end = head.find(b"\n", at) + 1
        else:
            return at
        if end <= at:
            return at
        at = end
