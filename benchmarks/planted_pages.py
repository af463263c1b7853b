"""Pages of a pool with mathematics planted among others across sites. Everything follows from `SEED`.

Texts are real: what lies behind CORPUSMILL_DATA, long ones cut to pages at headings or paragraphs. Addresses
are made up, as most of these texts have none. `planted`: 60% of the mathematics stands in sites of
mathematics, between other pages of theirs, 30% on sites where it is one subject among many (1 to 8% of their
pages), 10% anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from extraction import pages, project
from harness import load

SEED = 14
LEAST, MOST = 200, 4_000  # characters of a page
OTHER_SITES = 900
MATHS_SITES, MIXED_SITES = 36, 40
WEB = ("trafilatura_pages", "gne_chinese_pages", "debian_docs_zh_en")
CRAWLS = ("real_crawl_archive_org_2008", "real_dolma_sample-0000", "real_dolma_sample-0001")


@dataclass(frozen=True)
class Text:
    """A text and its kind: where it is from."""

    kind: str
    text: str


@dataclass(frozen=True)
class Page:
    """A page of the pool."""

    kind: str
    text: str
    url: str
    mathematics: bool


def mathematics(data: Path, quick: bool) -> list[Text]:
    """Pages of mathematics: encyclopedia entries, sections of books, problems with their solutions."""
    archive = data / "web" / "planetmath11_math_pages.warc.gz"
    found = [Text("encyclopedia", text) for text in extracted(archive, 120 if quick else -1)]
    for row in load(data / "math" / "latex_books.jsonl.zst"):
        found += [Text("books", text) for text in cut(row["text"], r"(?m)^(?=\\(?:sub)?section)")]
    problems = load(data / "math" / "gsm8k_train.jsonl.zst", 3000)
    found += _gathered("school problems", [row["text"] for row in problems], 3)
    exams = [row for row in load(data / "bench" / "deepseek_math_sets.jsonl.zst") if _is_exam(row["source"])]
    for name in sorted({row["source"] for row in exams}):
        found += _gathered("exams", [row["text"] for row in exams if row["source"] == name], 4)
    return _kept(found)


def _is_exam(source: str) -> bool:
    return not source.startswith("mmlu_stem")  # much of which is physics, biology, computing


def _gathered(kind: str, texts: Sequence[str], many: int) -> list[Text]:
    return [Text(kind, "\n\n".join(texts[at : at + many])) for at in range(0, len(texts), many)]


def others(data: Path, quick: bool) -> list[Text]:
    """Pages of anything else: news, blogs, forums, manuals, articles, newsletters, source code."""
    found: list[Text] = []
    for name in CRAWLS[1:] if quick else (*WEB, *CRAWLS):
        for text in extracted(data / "web" / f"{name}.warc.gz", -1):
            found += [Text("web", part) for part in cut(text, r"\n\n")]
    for row in load(data / "text" / "cc_c4_redpajama_samples.jsonl.zst"):
        if "arXiv" not in row["source"] and row["source"] != "StackExchange":
            found += [Text("web", part) for part in cut(row["text"], r"\n\n")]
    for row in load(data / "text" / "wikitext2_valid_test.jsonl.zst"):
        found += [Text("articles", part) for part in cut(row["text"], r"(?m)^(?= = = )|\n\n")]
    for row in load(data / "text" / "ruanyf_weekly_zh.jsonl.zst"):
        found += [Text("newsletter", part) for part in cut(row["text"], r"(?m)^(?=\*\*|## )")]
    for row in load(data / "text" / "tldr_pages_multilang.jsonl.zst"):
        found.append(Text("manuals", row["text"]))
    for row in load(data / "code" / "code_packages.jsonl.zst", 1500 if quick else None):
        found += [Text("code", part) for part in cut(row["text"], r"\n\n")[:3]]
    return _kept(found)


def cut(text: str, at: str) -> list[str]:
    """Pages of a text: its parts, joined while they are fewer than half the characters of a page."""
    found: list[str] = []
    held = ""
    for part in re.split(at, text):
        held = f"{held}\n\n{part}" if held else part
        if len(held) >= MOST / 2:
            found.append(held[:MOST])
            held = ""
    return [*found, held] if held else found


def extracted(archive: Path, most: int) -> Iterator[str]:
    """Main texts of an archive's HTML pages, of the first records."""
    run = project("corpusmill")
    found = [page for page in pages(archive, most) if page[2] and "html" in page[2]]
    for first in range(0, len(found), 64):
        yield from run(found[first : first + 64])


def _kept(texts: Sequence[Text]) -> list[Text]:
    """Without short ones and repetitions."""
    distinct = dict.fromkeys(Text(one.kind, one.text.strip()) for one in texts)
    return [one for one in distinct if len(one.text) >= LEAST]


def shuffled(texts: Sequence[Text], rng: np.random.Generator) -> list[Text]:
    return [texts[at] for at in rng.permutation(len(texts)).tolist()]


def limited(texts: Sequence[Text], shares: Mapping[str, float], many: int) -> list[Text]:
    """`many` texts in order, of a kind at most its share."""
    left = {kind: round(share * many) for kind, share in shares.items()}
    found: list[Text] = []
    for one in texts:
        if left[one.kind] > 0 and len(found) < many:
            left[one.kind] -= 1
            found.append(one)
    return found


def balanced(texts: Sequence[Text], many: int, rng: np.random.Generator) -> list[Text]:
    """`many` texts, as many of each kind as there are, where there are."""
    kinds: dict[str, list[Text]] = {}
    for one in shuffled(texts, rng):
        kinds.setdefault(one.kind, []).append(one)
    found: list[Text] = []
    while len(found) < many and kinds:
        for kind in sorted(kinds):
            found.append(kinds[kind].pop())
            if not kinds[kind]:
                del kinds[kind]
    return shuffled(found[:many], rng)


def pool(planted: Sequence[Text], background: Sequence[Text], rng: np.random.Generator) -> list[Page]:
    """All of them as pages with addresses, shuffled."""
    weights = 1 / np.arange(1, OTHER_SITES + 1) ** 0.8
    sites = rng.choice(OTHER_SITES, len(background), p=weights / weights.sum()).tolist()
    found = [
        _page(text, f"www.site{site}.example", number, False)
        for number, (text, site) in enumerate(zip(background, sites, strict=True))
    ]
    place = rng.random(len(planted))
    for number, (text, where) in enumerate(zip(planted, place.tolist(), strict=True), len(background)):
        if where < 0.6:
            host = f"maths{rng.integers(MATHS_SITES)}.example"
        elif where < 0.9:
            host = f"forum{rng.integers(MIXED_SITES)}.example"
        else:
            host = f"www.site{rng.integers(OTHER_SITES)}.example"
        found.append(_page(text, host, number, True))
    found = _other_pages(found, len(planted), rng)
    return [found[at] for at in rng.permutation(len(found)).tolist()]


def _other_pages(found: list[Page], planted: int, rng: np.random.Generator) -> list[Page]:
    """Some pages of other subjects on sites that have mathematics: a third of a site of mathematics, and most
    of a site with many subjects."""
    to_maths, to_mixed = int(planted * 0.3), int(planted * 6)
    for at in range(min(len(found) - planted, to_maths + to_mixed)):
        of_maths = at < to_maths
        name, many = ("maths", MATHS_SITES) if of_maths else ("forum", MIXED_SITES)
        page = found[at]
        found[at] = _page(Text(page.kind, page.text), f"{name}{rng.integers(many)}.example", at, False)
    return found


def _page(text: Text, host: str, number: int, is_mathematics: bool) -> Page:
    return Page(text.kind, text.text, f"https://{host}/pages/{number}", is_mathematics)
