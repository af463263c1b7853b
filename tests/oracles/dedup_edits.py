"""Edits applied character by character: which are cut, for what reason, and what is left of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Edit = tuple[int, int, str]  # first byte, byte after the last, reason


@dataclass
class Text:
    """A text of which parts are cut one set of edits after the other."""

    text: str
    reasons: list[str | None] = field(init=False)

    def __post_init__(self) -> None:
        self.reasons = [None] * len(self.text)

    def shown(self) -> str:
        return "".join(char for char, why in zip(self.text, self.reasons, strict=True) if why is None)

    def cut(self, edits: Sequence[Edit]) -> bool:
        """Cut what these spans of the shown text hold; whether nothing but white space is left of it then.

        A character is cut by the first span that holds all of it: by begin, then the longest, then by reason,
        of spans narrowed to whole characters.
        """
        places: list[tuple[int, int, int]] = []  # index, first byte, byte after the last
        at = 0
        for index, char in enumerate(self.text):
            if self.reasons[index] is None:
                places.append((index, at, at + len(char.encode())))
                at += len(char.encode())
        narrow = []
        for start, end, reason in edits:
            inside = [(first, last) for _, first, last in places if start <= first and last <= end]
            if inside:
                narrow.append((inside[0][0], -inside[-1][1], reason))
        some = False
        for index, first, last in places:
            for start, end, reason in sorted(narrow):
                if start <= first and last <= -end:
                    self.reasons[index], some = reason, True
                    break
        return some and not self.shown().strip()

    def written(self) -> dict[int, str]:
        """The reason of every byte of the text as written that is cut."""
        found, at = {}, 0
        for char, reason in zip(self.text, self.reasons, strict=True):
            size = len(char.encode())
            if reason is not None:
                found |= dict.fromkeys(range(at, at + size), reason)
            at += size
        return found
