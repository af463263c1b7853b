"""Main-content extraction against bare resiliparse and trafilatura, on marked pages.

    python benchmarks/extraction.py [--index INDEX --warc WARC] [--json] [--quick]

INDEX (JSON lines, zstd) gives for each WARC-Record-ID of WARC, `id`, the main text `text` and `meta`:
`page_type`, snippets that `must_contain` and `must_not_contain`. Without it, the development pages beside
CORPUSMILL_DATA (default ../shared/data) and the labelled sets in it are read. All tools run on the same pages
in this process:
- `word_f1`: macro F1 of words (`\\w+` in lower case, as often as they stand) against the main text, of all
  pages and by type of page; `shingle_f1` the same of word 4-shingles. Pages without a main text are left out;
- `snippets kept` and `snippets left out`: shares of those that must and must not stand in the text;
- `tex_recall`: share of formulas (alttext of MathML) that come out as TeX;
- `pages_per_s`: pages a second of the process's CPU time, decoding and parsing included.

The project's model was learned from the development pages: its figures there are not those of unseen pages,
which `python -m corpusmill.pipelines.extraction.learning` gives by leaving out whole sites.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import DATA, Bench, arguments, bounded, load

Page = tuple[str, bytes, str | None]
Tool = Callable[[list[Page]], list[str]]
Index = dict[str, dict[str, Any]]
SETS = ("trafilatura_pages", "planetmath11_math_pages", "gne_chinese_pages", "debian_docs_zh_en")


def pages(path: Path, limit: int) -> list[Page]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    found: list[Page] = []
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            kind = record.http_headers.get("Content-Type") if record.http_headers else None
            found.append((str(record.record_id), record.reader.read(), kind))
            if len(found) == limit:
                break
    return found


def project(extractor: str) -> Tool:
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.sources.extract import Extract

    stage = Extract.model_validate({"extractor": extractor})
    stage.warm()

    def run(batch: list[Page]) -> list[str]:
        n = len(batch)
        table = pa.table(
            {
                "text": pa.nulls(n, pa.large_string()),
                "meta": pa.array(["{}"] * n),
                "raw": pa.array([raw for _, raw, _ in batch], pa.large_binary()),
                "content_type": pa.array([kind for _, _, kind in batch], pa.string()),
            }
        )
        return [text or "" for text in stage.apply(Documents(table)).documents.text.to_pylist()]

    return run


def bare_resiliparse(batch: list[Page]) -> list[str]:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    return [
        extract_plain_text(
            bytes_to_str(raw, detect_encoding(raw, from_html_meta=True) or "utf-8"), main_content=True
        )
        for _, raw, _ in batch
    ]


def bare_trafilatura(batch: list[Page]) -> list[str]:
    import trafilatura

    return [trafilatura.extract(raw) or "" for _, raw, _ in batch]


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def shingles(text: str) -> Counter[tuple[str, ...]]:
    found = re.findall(r"\w+", text)
    return Counter(tuple(found[i : i + 4]) for i in range(max(1, len(found) - 3)))


def f1(pieces: Callable[[str], Counter[Any]], text: str, wanted: str) -> float:
    got, there = pieces(text), pieces(wanted)
    shared = sum((got & there).values())
    return 2 * shared / max(1, sum(got.values()) + sum(there.values()))


def against_texts(batch: list[Page], texts: list[str], gold: Index) -> Iterator[tuple[str, float, str]]:
    """Figures for pages whose main text is known."""
    by_type: defaultdict[str, list[float]] = defaultdict(list)
    by_shingles = []
    for (identity, _, _), text in zip(batch, texts, strict=True):
        wanted = gold[identity]["text"]
        if wanted.strip():
            score = f1(words, text, wanted)
            by_type[""].append(score)
            by_type[" " + gold[identity]["meta"].get("page_type", "")].append(score)
            by_shingles.append(f1(shingles, text, wanted))
    for kind, scores in sorted(by_type.items()):
        if kind != " ":
            yield f"word_f1{kind}", sum(scores) / len(scores), "F1"
    if by_shingles:
        yield "shingle_f1", sum(by_shingles) / len(by_shingles), "F1"


def against_snippets(batch: list[Page], texts: list[str], gold: Index) -> Iterator[tuple[str, float, str]]:
    """Figures for pages of which pieces are known that belong to the text or do not."""
    for key, name, wanted in (
        ("must_contain", "snippets kept", True),
        ("must_not_contain", "snippets left out", False),
    ):
        right = []
        for (identity, _, _), text in zip(batch, texts, strict=True):
            flat = " ".join(text.split())
            snippets = gold[identity]["meta"].get(key, ())
            right += [(" ".join(snippet.split()) in flat) == wanted for snippet in snippets]
        if right:
            yield name, sum(right) / len(right), "share"


def tex_recall(batch: list[Page], texts: list[str]) -> Iterator[tuple[str, float, str]]:
    from resiliparse.parse.html import HTMLTree

    there = found = 0
    for (_, raw, _), text in zip(batch, texts, strict=True):
        flat = "".join(text.split())
        document = HTMLTree.parse(raw.decode("utf-8", "replace")).document
        if document is None:
            continue
        left = Counter("".join((n.getattr("alttext") or "").replace("%\n", "").split()) for n in
                       document.query_selector_all("math").values())  # fmt: skip
        for tex, count in left.items():
            there += count
            found += min(count, flat.count(f"${tex}$"))
    yield "tex_recall", found / max(1, there), "share"


def set_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--index", type=Path, help="main texts by WARC-Record-ID (.jsonl.zst)")
    parser.add_argument("--warc", type=Path, help="their pages")


def main() -> None:
    options = arguments(__doc__, set_options)
    tools: dict[str, tuple[str, Tool]] = {
        "corpusmill": ("", project("corpusmill")),
        "resiliparse": ("", bare_resiliparse),
        "trafilatura": ("", bare_trafilatura),
    }
    beside = DATA.parent / "extraction"
    if options.index and options.warc:
        sets = [(options.warc.name.partition(".")[0], options.warc, options.index)]
    else:
        sets = [("wcxb_dev", beside / "wcxb_dev.warc.gz", beside / "wcxb_dev.index.jsonl.zst")]
        sets += [
            (name, DATA / "web" / f"{name}.warc.gz", DATA / "web" / f"{name}.index.jsonl.zst")
            for name in SETS
        ]
    bench = Bench("extraction")
    for name, warc, index in sets:
        batch = pages(warc, 60 if options.quick else 1_000_000)
        gold = {row["id"]: row for row in load(index)}
        for label, (suffix, tool) in tools.items():
            best = float("inf")
            for _ in range(1 if label == "trafilatura" else 3):
                start = time.process_time()
                texts = tool(batch)
                best = min(best, time.process_time() - start)
            measured = [("pages_per_s", len(batch) / best, "1/s")]
            measured += [*against_texts(batch, texts, gold), *against_snippets(batch, texts, gold)]
            measured += tex_recall(batch, texts) if "math" in name else ()
            for what, value, unit in measured:
                bench.add(f"{name} {what}{suffix}", label, round(value, 4), unit)
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
