"""Token rows to training batches: tokens a second, seconds to the first batch, memory, beside other loaders.

All read the same generated rows of 1,025 tokens (corpusmill 1,024, whose last label is none) from the file
cache and give batches of 32 as two int64 tensors, in one process without workers. Each is measured in a
process of its own. Peers stand in folders of their own, as their dependencies forbid one another: `--peers
FOLDER` has one folder for each, `litdata`, `mosaicml`, `datasets`, `grain`, filled by `pip install --target`.
`two stacks` is the loop that many small trainers have, `plain loop` a faster one. The job `with positions and
borders of documents` adds `position_ids` and `cu_seqlens`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from harness import Bench, arguments, bounded
from loader_peers import CONTEXT, SHARDS, TOOLS, VOCABULARY, rows_of

from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.tokenizer.shards.format import write_shard

ROWS, QUICK_ROWS = 80_000, 8_000
BATCHES, QUICK_BATCHES = 2_000, 100
PIECES = 4  # a row


def main() -> None:
    args = arguments(__doc__, add=_options)
    bench = Bench("loader")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(folder, QUICK_ROWS if args.quick else ROWS)
        for name, (_, write, _library) in TOOLS.items():
            environment = dict(os.environ)
            if args.peers is not None:
                environment["PYTHONPATH"] = os.pathsep.join(
                    [str(args.peers / name), os.environ.get("PYTHONPATH", "")]
                ).rstrip(os.pathsep)
            if write is not None and (fault := _asked(environment, "write", name, folder)[1]):
                for job in _jobs(name):
                    bench.leave_out(job, name, fault)
                continue
            for order in ("stored order", "shuffled"):
                _measure(bench, environment, name, folder, order, QUICK_BATCHES if args.quick else BATCHES)
    bench.print(args.json)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peers", type=Path, help="folder with a folder of packages for each peer")


def _jobs(name: str) -> list[str]:
    what = " with positions and borders of documents" if name == "documents" else ""
    return [f"{order}{what}" for order in ("stored order", "shuffled")]


def _measure(
    bench: Bench, environment: dict[str, str], name: str, folder: Path, order: str, batches: int
) -> None:
    job = next(job for job in _jobs(name) if job.startswith(order))
    tool = "corpusmill" if name == "documents" else name
    found, fault = _asked(environment, name, folder, order.split()[0], str(batches))
    if found is None:
        bench.leave_out(job, tool, fault)
        return
    bench.add(job, tool, found["tokens"] / 1e6, "million tokens/s")
    if order == "shuffled" and name != "documents":
        bench.add("shuffled, first batch", tool, found["first"], "s")
        bench.add("shuffled, memory added without mapped files", tool, found["memory"], "MiB")


def _asked(environment: dict[str, str], *command: object) -> tuple[dict[str, float] | None, str]:
    """What a process of a tool prints, or why there is nothing."""
    path = Path(__file__).with_name("loader_peers.py")
    done = subprocess.run(
        [sys.executable, str(path), *map(str, command)], env=environment, capture_output=True, text=True
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0:
        return (json.loads(lines[-1]) if lines else {}), ""
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    missing = "ModuleNotFoundError" in last
    return None, f"{'missing' if missing else 'failed'}: {last[:100]}"


def _write(folder: Path, count: int) -> None:
    """The same rows as one file and as shards."""
    rng = np.random.default_rng(7)
    with (folder / "rows.bin").open("wb") as file:
        for _ in range(SHARDS):
            rng.integers(8, VOCABULARY, (count // SHARDS, CONTEXT + 1), np.uint16).tofile(file)
    (folder / "shards").mkdir()
    rows = rows_of(folder)
    facts = {
        "vocab_size": VOCABULARY, "tokenizer": "0" * 64, "pad_id": 2, "eos_id": 1, "bos_id": None,
        "sources": ["generated"], "phase": {"number": 0, "name": None}, "add_bos": False, "add_eos": False,
    }  # fmt: skip
    for number, part in enumerate(np.array_split(np.arange(len(rows)), SHARDS)):
        matrix = rows[part, :CONTEXT]
        length = CONTEXT // PIECES
        pieces = len(part) * PIECES
        columns = {
            "start": np.tile(np.arange(PIECES) * length, len(part)).astype(np.int32),
            "length": np.full(pieces, length, np.int32),
            "source": np.zeros(pieces, np.uint16),
            "fim": np.zeros(pieces, bool),
            "document": [bytes(16)] * pieces,
            "offset": np.zeros(pieces, np.int32),
            "epoch": np.zeros(pieces, np.int32),
        }
        arrays = [pa.array(columns[field.name], field.type) for field in PIECE]
        struct = pa.StructArray.from_arrays(arrays, fields=list(PIECE))
        ends = np.arange(0, pieces + 1, PIECES, dtype=np.int32)
        write_shard(folder / "shards" / f"shard-{number:05d}.arrow", matrix, struct, ends, facts)


if __name__ == "__main__":
    bounded(main)
