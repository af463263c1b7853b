"""What to say of a file in whose beginning no record of the reader's format is found."""

from __future__ import annotations

_SEEN = 40  # bytes that are shown
_MARKED = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"),
           (b"\xfe\xff", "UTF-16"))  # fmt: skip
_UNITS = 32  # of text looked at for zero bytes


def unreadable(head: bytes, expected: str, detail: str = "") -> str:
    """The fault of a file that begins with `head`: what is seen, escaped, what the reader expects (`detail`:
    what is wrong with it) and the cure."""
    text = head[:_SEEN].decode("utf-8", "backslashreplace")
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    why = f" ({detail})" if detail else ""
    encoding = encoding_of(head)
    other = (
        ", or convert text of another encoding to UTF-8, such as with `iconv -f GB18030 -t UTF-8`"
        if "codec can't decode" in detail
        else ", or convert it to JSON Lines or Parquet"
    )
    cure = (
        f"read it with the reader of its format under `read`{other}"
        if encoding is None
        else f"it looks like {encoding}: convert it to UTF-8, such as with `iconv -f {encoding} -t UTF-8`"
    )
    return f"no record in its first MiB: it begins with '{seen}', this reader expects {expected}{why}; {cure}"


def encoding_of(head: bytes) -> str | None:
    """The encoding of text in units of 16 or 32 bits, by its byte-order mark or by the zeros that fill up
    ASCII; None where it looks like neither."""
    for mark, name in _MARKED:
        if head.startswith(mark):
            return name
    first = head[: 2 * _UNITS]
    high, low = first[1::2], first[::2]
    if len(first) >= 4 and first.isascii():
        if not any(high) and all(low):
            return "UTF-16LE"
        if not any(low) and all(high):
            return "UTF-16BE"
    return None
