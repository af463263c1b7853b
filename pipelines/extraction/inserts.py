"""What stands beside the texts of a page where it is asked for: targets of links, and texts for images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from corpusmill.pipelines.extraction.attributes import attributes
from corpusmill.pipelines.extraction.kernels.plain_text import Inserts
from corpusmill.pipelines.extraction.tags import BREAKS, INLINE, NUMBERS

if TYPE_CHECKING:
    import numpy.typing as npt

    from corpusmill.pipelines.extraction.content_model import Look

_A, _IMG, _BR = NUMBERS["a"], NUMBERS["img"], NUMBERS["br"]
# Targets on the page itself, and those that no document can be fetched from.
_NO_TARGETS = ("#", "javascript:", "data:")
Place = Literal["before", "after", "alone"]


def target_of(given: dict[str, str]) -> str:
    """The target of a link with these attributes, as the page writes it; "" where it leads to no page."""
    target = _address(given.get("href", ""))
    return "" if target.lower().startswith(_NO_TARGETS) else target


def image_of(given: dict[str, str]) -> tuple[str, str]:
    """(alternative text, source) of an image with these attributes; each may be ""."""
    source = _address(given.get("src", ""))
    return " ".join(given.get("alt", "").split()), "" if source.lower().startswith("data:") else source


def _address(value: str) -> str:
    """An address without white space, as browsers read it (URL standard, 4.4)."""
    return "".join(value.strip().splitlines()).replace("\t", "").replace(" ", "%20")


def images_of(look: Look, keep: npt.NDArray[np.bool_]) -> Iterator[tuple[int, Place, int]]:
    """(element, place, number) of the images within or between kept blocks, in document order.

    `before` and `after`: a word of the block of text `number`, beside that text; `alone`: a paragraph of its
    own behind block `number`. Time is linear in the page.
    """
    page, blocks = look.page, look.blocks
    first_text, element = blocks.first_text.tolist(), blocks.element.tolist()
    end_text, first_of, kept = blocks.end_text.tolist(), blocks.first_of.tolist(), keep.tolist()
    broken, following = np.nonzero(page.tag == _BR)[0].tolist(), 0  # the first `br` behind the image
    for e in np.nonzero(page.tag == _IMG)[0].tolist():
        while following < len(broken) and broken[following] < e:
            following += 1
        line = int(page.parent[e])
        while line > 0 and BREAKS[page.tag[line]] == INLINE:
            line = int(page.parent[line])
        t = int(page.first_text[e])
        b = first_of[t]  # the first block that begins at text t or after it
        if b > 0 and kept[b - 1] and t < end_text[b - 1]:
            yield e, "before", t
        elif (
            0 < b < len(kept)
            and kept[b - 1]
            and element[b - 1] == line
            and following < len(broken)
            and page.first_text[broken[following]] <= first_text[b]
            and not (following > 0 and page.first_text[broken[following - 1]] >= end_text[b - 1])
        ):  # the line ends behind it
            yield e, "after", end_text[b - 1] - 1
        elif b < len(kept) and kept[b] and element[b] == line:
            yield e, "before", first_text[b]
        elif b > 0 and kept[b - 1] and element[b - 1] == line:
            yield e, "after", end_text[b - 1] - 1
        elif 0 < b < len(kept) and kept[b - 1] and kept[b]:
            yield e, "alone", b - 1


def inserts_of(look: Look, keep: npt.NDArray[np.bool_], links: bool, alt_texts: bool) -> Inserts:
    """Of the kept blocks: ` (target)` behind each link, and the alternative texts of images."""
    markup, page, blocks = look.markup.tobytes(), look.page, look.blocks
    texts = len(page.begin)
    inserted: defaultdict[int, list[str]] = defaultdict(list)  # by the number of the place among `bounds`
    if links:
        within = np.zeros(texts, np.bool_)
        for b in np.nonzero(keep)[0]:
            within[blocks.first_text[b] : blocks.end_text[b]] = True
        written = np.flatnonzero(within & page.shown & (page.end > page.begin))
        for e in np.nonzero(page.tag == _A)[0].tolist():
            last = int(np.searchsorted(written, page.end_text[e])) - 1
            if last < 0 or written[last] < page.first_text[e]:
                continue
            target = target_of(attributes(markup, int(page.opening[e])))
            if target:
                inserted[2 * int(written[last]) + 1].append(f" ({target})")
    if alt_texts:
        for e, place, number in images_of(look, keep):
            alt, _ = image_of(attributes(markup, int(page.opening[e])))
            if not alt:
                continue
            if place == "alone":
                inserted[2 * (int(blocks.end_text[number]) - 1) + 1].append(f"\n\n{alt}")
            elif place == "after":
                inserted[2 * number + 1].append(f" {alt}")
            else:
                inserted[2 * number].append(f" {alt}" if inserted[2 * number] else alt)
    lengths = np.zeros(2 * texts + 1, np.int64)
    parts: list[bytes] = []
    for place_number in sorted(inserted):
        parts.append("".join(inserted[place_number]).encode("utf-8", "replace"))
        lengths[place_number + 1] = len(parts[-1])
    # May be written, as `NO_INSERTS` may: kernels are compiled for one kind of array alone.
    return Inserts(np.frombuffer(bytearray(b"".join(parts)), np.uint8), np.cumsum(lengths))
