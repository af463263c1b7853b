"""Which entries of an index are wanted."""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.pipelines.sources.assembly.cdx_lines import Entry


class Selection:
    """What an entry must fit: each of the lists that is not None, by one of its items.

    `url` and `mime` are patterns in which `*` stands for any characters, `mime` without regard to case.
    `language` is compared with the first of an entry's languages. What an entry does not state fits nothing.
    """

    def __init__(
        self,
        url: Sequence[str] | None,
        status: Sequence[int] | None,
        mime: Sequence[str] | None,
        language: Sequence[str] | None,
    ) -> None:
        self._urls = None if url is None else [pattern.split("*") for pattern in url]
        self._statuses = None if status is None else frozenset(status)
        self._mimes = None if mime is None else [pattern.lower().split("*") for pattern in mime]
        self._languages = None if language is None else frozenset(language)

    def wants(self, entry: Entry) -> bool:
        """Whether the entry fits."""
        if self._statuses is not None and entry.status not in self._statuses:
            return False
        if self._languages is not None and not self._languages.intersection(entry.languages[:1]):
            return False
        if self._mimes is not None:
            mime = entry.mime.lower()
            if not mime or not any(fits(mime, parts) for parts in self._mimes):
                return False
        if self._urls is None:
            return True
        return bool(entry.url) and any(fits(entry.url, parts) for parts in self._urls)


def fits(text: str, parts: Sequence[str]) -> bool:
    """Whether `text` is `parts` with anything between each two of them; linear in the text for each part."""
    first, *rest = parts
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:  # the leftmost place of each leaves the most to those behind it
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
