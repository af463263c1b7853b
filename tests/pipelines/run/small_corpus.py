"""A small corpus of three formats and a recipe that takes it to token shards, for tests of object storage."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

WORDS = ("stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass")
RECIPE = """
name: remote
seed: 3
data: corpus
engine: {engine}
{storage}
sources:
  lines: {{read: {{jsonl: {{files: {lines}, split_bytes: 65536}}}}}}
  rows: {{read: {{parquet: {rows}}}}}
  pages: {{read: {{warc: {{files: {pages}, split_bytes: 65536}}}}, steps: [extract]}}
dedup: [exact]
decontaminate: {{against: {{jsonl: {benchmarks}}}}}
tokenizer: {{train: {{vocab_size: 300}}}}
mixture: {{tokens: 20K, weights: {{lines: 0.5, rows: 0.3, pages: 0.2}}, max_epochs: 4}}
pack: {{sequence_length: 64}}
"""
PATTERNS = {
    "lines": "lines/**/*.jsonl*",
    "rows": "rows/r.parquet",
    "pages": "pages/*.warc.gz",
    "benchmarks": "benchmarks/*.jsonl",
}


def text(draw: random.Random, most: int = 120) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(40, most)))


def jsonl(draw: random.Random, name: str, count: int) -> bytes:
    return b"".join(
        json.dumps({"id": f"{name}-{number}", "text": text(draw)}).encode() + b"\n" for number in range(count)
    )


def page(draw: random.Random, number: int) -> bytes:
    body = f"<html><body><main><p>{text(draw)}.</p><p>{text(draw)}.</p></main></body></html>".encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number:032x}>\r\n"
        f"WARC-Target-URI: https://pages.example/{number}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return head.encode() + http + b"\r\n\r\n"


def write_corpus(folder: Path) -> Path:
    """Write a few files of three formats, and a benchmark, into `folder`."""
    draw = random.Random(5)
    files = {
        "lines/a.jsonl": jsonl(draw, "a", 500),
        "lines/b.jsonl.zst": zstandard.compress(jsonl(draw, "b", 300)),
        "lines/deep/c d.jsonl": jsonl(draw, "c", 100),
        "pages/p.warc.gz": b"".join(gzip.compress(page(draw, number)) for number in range(300)),
        "benchmarks/q.jsonl": jsonl(draw, "q", 5),
    }
    rows = pa.table({"id": [str(n) for n in range(300)], "text": [text(draw) for _ in range(300)]})
    sink = io.BytesIO()
    pq.write_table(rows, sink, row_group_size=100)
    files["rows/r.parquet"] = sink.getvalue()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write(
    folder: Path, base: str = "", storage: str = "", engine: str = "{kind: inline}", **other: str
) -> Path:
    """A recipe in a folder of its own, whose patterns begin with `base`."""
    folder.mkdir(exist_ok=True)
    path = folder / "recipe.yaml"
    patterns = {name: json.dumps(base + pattern) for name, pattern in (PATTERNS | other).items()}
    path.write_text(RECIPE.format(engine=engine, storage=storage, **patterns))
    return path
