"""Readers of WARC, JSON Lines, Parquet and source trees against fastwarc, datatrove, polars and others.

    python benchmarks/ingest.py [--quick] [--json] [--data DIR]

MB of the uncompressed input (Parquet: of its texts) per second of the process's CPU time, best of several;
other work on the machine counts little, several threads count in full. The project's readers give whole
documents: ids, metadata, judged and checked, in Arrow tables. Jobs:

- `WARC of pages` (records of 130 KB), `WARC of a crawl` (such pages, each between its request and metadata,
  as Common Crawl has them) and `WARC of small records` (13 KB):
  - `records`: heads and bodies of all records, as fastwarc gives them without reading HTTP heads; the
    project's framing over splits that its index proved;
  - `index`: the walk that proves every frame and record; it is done once for each file, before reading;
  - `pages`: documents of all HTML pages; fastwarc's share of that is HTTP heads and bodies of responses;
- `JSONL of long texts` (6 KB a line) and `of short texts` (0.5 KB), plain and .zst, `Parquet` (long texts):
  index and read; of the others whatever their reader needs;
- `source tree`: of the other, a walk that reads and decodes every file.

Peers that are not installed are left out, which a row says (`pip install 'corpusmill[bench]'`; datatrove's
WarcReader needs libmagic besides). Without the data folder inputs are generated, which stderr says.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import zstandard
from harness import Bench, arguments, bounded, load

from corpusmill.pipelines.sample import warc as written
from corpusmill.pipelines.sources.framing.archive_index import records
from corpusmill.pipelines.sources.framing.warc_records import WARC
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from corpusmill.pipelines.sources.reader import Label, Reader
from corpusmill.pipelines.sources.tree import Tree
from corpusmill.pipelines.sources.warc import Warc

LABEL = Label("texts", "web")
ARCHIVES = {"WARC of pages": "trafilatura_pages", "WARC of small records": "real_crawl_archive_org_2008"}
LIMIT = 2**26
Job = Callable[[], object]


def best_of(job: Job, repeats: int) -> float:
    """Least CPU seconds of `job`, which is run once more before, for imports and compilation."""
    job()
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        job()
        best = min(best, time.process_time() - start)
    return best


def read_all(reader: Reader, files: list[Path], splits: list[Any] | None = None) -> int:
    """Documents of some files, indexed first unless their splits are given."""
    found = 0
    for number, file in enumerate(files):
        for split in splits[number] if splits is not None else reader.index(file):
            if split.fault is None:
                found += sum(len(batch.documents) for batch in reader.read(file, file.name, split, LABEL))
    return found


class Ingest:
    """One run: adds the rows of every job to `bench`."""

    def __init__(self, bench: Bench, repeats: int) -> None:
        self._bench = bench
        self._repeats = repeats

    def _measure(self, job: str, tool: str, megabytes: float, run: Job) -> None:
        """A row with the speed of `run`, or with why the tool cannot be run."""
        try:
            self._bench.add(job, tool, megabytes / best_of(run, self._repeats), "MB/s")
        except ImportError as error:  # datatrove raises it for what its reader needs, too
            first = str(error).strip().split("\n", 1)[0]
            self._bench.leave_out(job, tool, f"left out: {first}")

    def archive(self, name: str, path: Path) -> None:
        reader = Warc(files=["x"])
        splits = reader.index(path)
        size = sum(split.end - split.start for split in splits) / 1e6

        def framed() -> None:
            for split in splits:
                for _ in records(path, split, WARC, LIMIT):
                    pass

        def bare(http: bool) -> None:
            from fastwarc.warc import ArchiveIterator, WarcRecordType

            kinds = WarcRecordType.response if http else WarcRecordType.any_type
            with path.open("rb") as file:
                for record in ArchiveIterator(file, record_types=kinds, parse_http=http):
                    record.reader.read()

        def blocks() -> None:
            from datatrove.pipeline.readers import WarcReader

            for _ in WarcReader(str(path.parent), glob_pattern=path.name).run():
                pass

        self._measure(f"{name}, records", "corpusmill", size, framed)
        self._measure(f"{name}, records", "fastwarc", size, lambda: bare(False))
        self._measure(f"{name}, index", "corpusmill", size, lambda: reader.index(path))
        self._measure(f"{name}, pages", "corpusmill", size, lambda: read_all(reader, [path], [splits]))
        self._measure(f"{name}, pages", "fastwarc", size, lambda: bare(True))
        self._measure(f"{name}, pages", "datatrove", size, blocks)

    def lines(self, name: str, folder: Path, rows: list[dict[str, Any]]) -> None:
        data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        for file, stored in (("rows.jsonl", data), ("rows.jsonl.zst", zstandard.compress(data, 3))):
            (folder / file).write_bytes(stored)
            job = f"{name}, zst" if file.endswith(".zst") else name
            self._lines(job, folder / file, len(data) / 1e6)

    def _lines(self, job: str, path: Path, size: float) -> None:
        def blocks() -> None:
            from datatrove.pipeline.readers import JsonlReader

            for _ in JsonlReader(str(path.parent), glob_pattern=path.name).run():
                pass

        def frame() -> None:
            import polars

            polars.read_ndjson(path)

        def table() -> None:  # a block holds the longest line
            pyarrow.json.read_json(path, read_options=pyarrow.json.ReadOptions(block_size=2**24))

        self._measure(job, "corpusmill", size, lambda: read_all(Jsonl(files=["x"]), [path]))
        self._measure(job, "datatrove", size, blocks)
        self._measure(job, "polars", size, frame)
        if path.suffix == ".jsonl":
            self._measure(job, "pyarrow", size, table)

    def columns(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        path = folder / "rows.parquet"
        flat = [{"id": str(number), "text": row["text"]} for number, row in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(flat), path, row_group_size=1000, compression="zstd")
        size = sum(len(row["text"].encode()) for row in flat) / 1e6

        def blocks() -> None:
            from datatrove.pipeline.readers import ParquetReader

            for _ in ParquetReader(str(folder), glob_pattern=path.name).run():
                pass

        def frame() -> None:
            import polars

            polars.read_parquet(path)

        def batches() -> None:
            with pq.ParquetFile(path) as file:
                for _ in file.iter_batches(1000):
                    pass

        self._measure("Parquet", "corpusmill", size, lambda: read_all(Parquet(files=["x"]), [path]))
        self._measure("Parquet", "datatrove", size, blocks)
        self._measure("Parquet", "polars", size, frame)
        self._measure("Parquet", "pyarrow", size, batches)

    def tree(self, folder: Path, texts: list[str]) -> None:
        root = folder / "tree"
        for number, text in enumerate(texts):
            file = root / f"repository-{number % 20}" / f"folder-{number % 7}" / f"file_{number}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        size = sum(len(text.encode()) for text in texts) / 1e6
        reader = Tree(files=["x"], repo_depth=1)

        def walk() -> None:
            for base, _, names in os.walk(root):
                for name in names:
                    Path(base, name).read_bytes().decode()

        self._measure("source tree", "corpusmill", size, lambda: read_all(reader, reader.expand(root)))
        self._measure("source tree", "a walk", size, walk)


def generated_pages(path: Path, size: int, records_bytes: int) -> None:
    """A .warc.gz of about `size` bytes of requests and pages of `records_bytes`, a member each."""
    words = [text for row in generated_rows(400_000) for text in row["text"].split()]
    draw = random.Random(1)
    with path.open("wb") as file:
        for number in range(max(1, size // records_bytes)):
            text = " ".join(draw.choices(words, k=records_bytes // 8))
            address = f"https://pages.example/{number}"
            page = f"<html><body><p>{text}</p></body></html>".encode()
            for record in (written.request(address), written.response(address, page, "text/html")):
                file.write(written.gzip_member(record))


def generated_rows(size: int) -> list[dict[str, Any]]:
    """Rows with texts of words, `size` bytes together."""
    draw = random.Random(2)
    vocabulary = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    rows: list[dict[str, Any]] = []
    held = 0
    while held < size:
        text = " ".join(draw.choices(vocabulary, k=500))
        rows.append({"id": str(len(rows)), "text": text, "url": f"https://texts.example/{len(rows)}"})
        held += len(text)
    return rows


def archives(data: Path, folder: Path, there: bool, quick: bool) -> Iterator[tuple[str, Path]]:
    for name, stem in ARCHIVES.items():
        path = data / "web" / f"{stem}.warc.gz"
        if not there:
            path = folder / f"{stem}.warc.gz"
            size, record = (2**22 if quick else 2**25), (130_000 if "pages" in stem else 13_000)
            generated_pages(path, size, record)
        yield name, path
        if "pages" in stem:
            crawl = folder / "crawl.warc.gz"
            write_crawl(path, crawl, 100 if quick else 1_000_000)
            yield "WARC of a crawl", crawl


def write_crawl(pages: Path, path: Path, most: int) -> None:
    """At most `most` responses of an archive, each between a request and a metadata record, a member each."""
    metadata = b"fetchTimeMs: 123\r\ncharset-detected: UTF-8\r\n"
    with path.open("wb") as file:
        for split in Warc(files=["x"]).index(pages):
            for head, block in records(pages, split, WARC, LIMIT):
                url = head.fields.get("warc-target-uri", "")
                if head.fields["warc-type"] != "response" or block is None:
                    continue
                if most == 0:
                    return
                most -= 1
                for record in (
                    written.request(url),
                    written.record("response", block, "application/http; msgtype=response", uri=url),
                    written.record("metadata", metadata, "application/warc-fields", uri=url),
                ):
                    file.write(written.gzip_member(record))


def main() -> None:
    options = arguments(__doc__)
    there = (options.data / "MANIFEST.tsv").is_file()
    if not there:
        print(f"no data in {options.data}: generated inputs", file=sys.stderr)
    bench = Bench("ingest")
    ingest = Ingest(bench, 1 if options.quick else 7)
    most = 1_000 if options.quick else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for job, path in archives(options.data, folder, there, options.quick):
            ingest.archive(job, path)
        if there:
            short = load(options.data / "text" / "tldr_pages_multilang.jsonl.zst", most)
            long = load(options.data / "code" / "code_packages.jsonl.zst", most)
        else:
            long = generated_rows(2**21 if options.quick else 2**24)
            short = [{**row, "text": row["text"][:600]} for row in long]
        ingest.lines("JSONL of long texts", folder, long)
        ingest.lines("JSONL of short texts", folder, short)
        ingest.columns(folder, long)
        ingest.tree(folder, [row["text"] for row in long])
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
