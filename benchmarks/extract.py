"""Main-content extraction against bare resiliparse and trafilatura, on labelled pages.

    python benchmarks/extract.py [--json] [--quick]

Reads CORPUSMILL_DATA (default ../shared/data). Every job runs all tools on the same pages in this process:
- `shingle_f1`: macro F1 of word 4-shingles against the main text, for sets whose index holds one;
- `snippet_f1`: F1 over labelled snippets that must and must not be extracted;
- `tex_recall`: share of formulas (alttext of MathML) that come out as TeX, in order of tools;
- `pages_per_s`: pages a second, decoding and parsing included.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from harness import DATA, Bench, arguments, bounded, load

Page = tuple[str, bytes, str | None]
Tool = Callable[[list[Page]], list[str]]


def pages(name: str, limit: int) -> list[Page]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    found: list[Page] = []
    with (DATA / "web" / f"{name}.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            kind = record.http_headers.get("Content-Type") if record.http_headers else None
            found.append((str(record.record_id), record.reader.read(), kind))
            if len(found) == limit:
                break
    return found


def index(name: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in load(DATA / "web" / f"{name}.index.jsonl.zst")}


def project(extractor: str) -> Tool:
    import pyarrow as pa

    from corpusmill.pipelines.documents import Documents
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


def snippet_f1(batch: list[Page], texts: list[str], gold: dict[str, dict[str, Any]]) -> float:
    right = missed = wrong = 0
    for (identity, _, _), text in zip(batch, texts, strict=True):
        flat, meta = " ".join(text.split()), gold[identity]["meta"]
        for snippet in meta.get("must_contain", ()):
            here = " ".join(snippet.split()) in flat
            right, missed = right + here, missed + (not here)
        wrong += sum(" ".join(snippet.split()) in flat for snippet in meta.get("must_not_contain", ()))
    return 2 * right / max(1, 2 * right + missed + wrong)


def shingle_f1(batch: list[Page], texts: list[str], gold: dict[str, dict[str, Any]]) -> float | None:
    def shingles(text: str) -> Counter[tuple[str, ...]]:
        words = re.findall(r"\w+", text)
        return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)))

    scores = []
    for (identity, _, _), text in zip(batch, texts, strict=True):
        if gold[identity]["text"]:
            wanted, got = shingles(gold[identity]["text"]), shingles(text)
            shared = sum((wanted & got).values())
            scores.append(2 * shared / (sum(wanted.values()) + sum(got.values())))
    return sum(scores) / len(scores) if scores else None


def tex_recall(batch: list[Page], texts: list[str]) -> float:
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
    return found / max(1, there)


def main() -> None:
    options = arguments(__doc__)
    tools: dict[str, tuple[str, Tool]] = {
        "corpusmill": ("", project("resiliparse")),
        "resiliparse": ("", bare_resiliparse),
        "corpusmill (trafilatura)": (", trafilatura engine", project("trafilatura")),
        "trafilatura": ("", bare_trafilatura),
    }
    limit = 40 if options.quick else 10_000
    bench = Bench("extract")
    for name in ("trafilatura_pages", "planetmath11_math_pages", "gne_chinese_pages", "debian_docs_zh_en"):
        batch, gold = pages(name, limit), index(name)
        for label, (suffix, tool) in tools.items():
            fast = "trafilatura" not in label
            best = float("inf")
            for _ in range(3 if fast else 1):
                start = time.perf_counter()
                texts = tool(batch)
                best = min(best, time.perf_counter() - start)
            measured: list[tuple[str, float | None, str]] = [("pages_per_s", len(batch) / best, "1/s")]
            if any("must_contain" in row["meta"] for row in gold.values()):
                measured.append(("snippet_f1", snippet_f1(batch, texts, gold), "F1"))
            measured.append(("shingle_f1", shingle_f1(batch, texts, gold), "F1"))
            if "math" in name:
                measured.append(("tex_recall", tex_recall(batch, texts), "share"))
            shown = "corpusmill" if label.startswith("corpusmill") else label
            for what, value, unit in measured:
                if value is not None:
                    bench.add(f"{name} {what}{suffix}", shown, round(value, 4), unit)
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
