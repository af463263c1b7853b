"""`personal_data`: MB/s on one core, and precision and recall on planted data, beside PIIFormatter.

    python benchmarks/personal_data.py [--quick] [--json] [--data DIR]

Speed: UTF-8 bytes of real texts and source files per second of the process's CPU time, best of five after
compiling; the peer, datatrove, which replaces e-mail and IP addresses alone, on the same texts. Precision and
recall: of values planted by `personal_texts` among two hard negatives each; one counts as found where a span
of its kind overlaps it, and a span that overlaps no value of its kind is wrong. The peer is judged on its two
kinds.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa
from harness import Bench, arguments, bounded, load
from personal_texts import MAKERS, made, overlaps

from corpusmill.filters.personal_data import PersonalData
from corpusmill.pipelines.contract.documents import SCHEMA, Documents

TEXTS = ("text/cc_c4_redpajama_samples", "text/wikitext2_valid_test")
CODE = ("code/code_packages",)
Span = tuple[str, int, int]


def as_documents(texts: Sequence[str]) -> Documents:
    n = len(texts)
    same = {"source": "texts", "domain": "web", "meta": "{}"}
    columns = {
        field.name: pa.array([same.get(field.name, f"{i:032x}") for i in range(n)], field.type)
        for field in SCHEMA
    }
    return Documents(pa.table({**columns, "text": pa.array(texts, pa.large_string())}, schema=SCHEMA))


def project_rate(texts: Sequence[str]) -> float:
    """MB/s of the process's CPU time, best of five."""
    stage, docs, best = PersonalData(), as_documents(texts), float("inf")
    stage.edit(docs.slice(0, 2))
    for _ in range(5):
        start = time.process_time()
        stage.edit(docs)
        best = min(best, time.process_time() - start)
    return megabytes(texts) / best


def megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def judged(found: Iterable[list[Span]], right: Iterable[list[Span]]) -> dict[str, tuple[float, float]]:
    """Precision and recall by kind, and of all of them together."""
    hits: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    given: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for spans, values in zip(found, right, strict=True):
        for mine, others, totals, matches in ((spans, values, given, hits), (values, spans, wanted, caught)):
            for kind, start, end in mine:
                same = any(k == kind and s < end and start < e for k, s, e in others)
                for name in (kind, "all"):
                    totals[name] += 1
                    matches[name] += same
    return {
        kind: (hits[kind] / max(given[kind], 1), caught[kind] / max(wanted[kind], 1))
        for kind in [*MAKERS, "all"]
    }


def planted(bench: Bench, count: int) -> None:
    """Figures of the project on planted values."""
    texts = made(14, count)
    right = [overlaps(text, values) for text, values in texts]
    outcome = PersonalData().apply(as_documents([text for text, _ in texts]))
    listed = outcome.documents.column("personal_data.spans").to_pylist()
    found = [[(span["kind"], span["start"], span["end"]) for span in spans] for spans in listed]
    for kind, (precision, recall) in judged(found, right).items():
        bench.add(f"planted {kind}: precision", "corpusmill", precision, "share")
        bench.add(f"planted {kind}: recall", "corpusmill", recall, "share")
    if importlib.util.find_spec("datatrove") is None:
        print("datatrove left out: not installed", file=sys.stderr)
        return
    from datatrove.pipeline.formatters.pii import PIIFormatter

    peer = PIIFormatter(email_replacement="\0email\0", ip_replacement="\0ip\0")
    for kind in ("email", "ip"):
        gave = left = kept = wrong = 0
        for text, values in texts:
            masked = peer.format(text)
            gave += masked.count(f"\0{kind}\0")
            mine = [value for k, value in values if k == kind]
            left += len(mine)
            kept += sum(value in masked for value in mine)
        wrong = max(0, gave - (left - kept))
        bench.add(f"planted {kind}: precision", "datatrove", 1 - wrong / max(gave, 1), "share")
        bench.add(f"planted {kind}: recall", "datatrove", 1 - kept / max(left, 1), "share")


def speed(bench: Bench, name: str, texts: Sequence[str]) -> None:
    bench.add(f"personal_data on {name}", "corpusmill", project_rate(texts), "MB/s")
    if importlib.util.find_spec("datatrove") is None:
        return
    from datatrove.pipeline.formatters.pii import PIIFormatter

    peer = PIIFormatter()
    start = time.process_time()
    for text in texts:
        peer.format(text)
    bench.add(
        f"personal_data on {name}", "datatrove", megabytes(texts) / (time.process_time() - start), "MB/s"
    )


def main() -> None:
    """Run, and print the table or one JSON object."""
    options = arguments(__doc__)
    most = 1_000 if options.quick else 10_000
    bench = Bench("personal_data")
    planted(bench, 500 if options.quick else 5_000)
    if (options.data / "MANIFEST.tsv").is_file():
        for name, files in (("English texts", TEXTS), ("source code", CODE)):
            paths = [options.data / f"{file}.jsonl.zst" for file in files]
            speed(bench, name, [row["text"] for path in paths for row in load(path, most)])
    else:
        print(f"no data in {options.data}: planted texts alone", file=sys.stderr)
        speed(bench, "planted texts", [text for text, _ in made(1, 5 * most)])
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
