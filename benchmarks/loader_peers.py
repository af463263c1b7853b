"""Loaders of token rows, for `loader.py`: each writes the rows in its own form and iterates over batches.

`python loader_peers.py NAME FOLDER ORDER BATCHES` measures one in a process of its own and prints a JSON
object: seconds to the first batch from when the library is imported, tokens a second of the batches after a
warm-up, and MiB of memory that it added, mapped files left out. Every batch is two int64 tensors of
32 x 1,024, inputs and labels, made in this process without workers.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BATCH, CONTEXT, SHARDS = 32, 1024, 8
VOCABULARY = 50_000
WARM = 100  # batches before the clock starts

Rows = npt.NDArray[np.uint16]
Batches = Iterator[Any]


def rows_of(folder: Path) -> Rows:
    """The rows [R, 1025] that all have, in a memory map."""
    return np.memmap(folder / "rows.bin", np.uint16, "r").reshape(-1, CONTEXT + 1)


def plain_loop(folder: Path, shuffled: bool) -> Batches:
    """A loop over a memory map: rows stacked, then widened at once."""
    import torch

    rows = rows_of(folder)
    order = np.random.default_rng(1).permutation(len(rows)) if shuffled else np.arange(len(rows))
    for start in range(0, len(order) - BATCH, BATCH):
        stacked = np.stack([rows[i] for i in order[start : start + BATCH]])
        tokens = torch.from_numpy(stacked.astype(np.int64))
        yield tokens[:, :-1], tokens[:, 1:].contiguous()


def two_stacks(folder: Path, shuffled: bool) -> Batches:
    """The loop of small trainers: inputs and labels sliced, widened and stacked row by row."""
    import torch

    rows = rows_of(folder)
    order = np.random.default_rng(1).permutation(len(rows)) if shuffled else np.arange(len(rows))
    for start in range(0, len(order) - BATCH, BATCH):
        picked = order[start : start + BATCH]
        yield (
            torch.stack([torch.from_numpy(rows[i, :-1].astype(np.int64)) for i in picked]),
            torch.stack([torch.from_numpy(rows[i, 1:].astype(np.int64)) for i in picked]),
        )


def corpusmill(folder: Path, shuffled: bool, **options: Any) -> Batches:
    from corpusmill.training_hooks.loading.torch_dataset import ShardDataset

    paths = sorted(folder.glob("shards/*.arrow"))
    order: Any = "shuffled" if shuffled else "stored"
    for batch in ShardDataset(paths, batch_size=BATCH, seed=1, order=order, **options):
        yield batch["input_ids"], batch["labels"]


def corpusmill_documents(folder: Path, shuffled: bool) -> Batches:
    return corpusmill(folder, shuffled, extras=("position_ids", "cu_seqlens"))


def litdata_write(folder: Path) -> None:
    import torch
    from litdata.constants import _TORCH_DTYPES_MAPPING
    from litdata.streaming import Cache, TokensLoader

    rows = rows_of(folder)
    cache = Cache(
        str(folder / "litdata"), chunk_size=(CONTEXT + 1) * 4096, item_loader=TokensLoader(CONTEXT + 1)
    )
    assert _TORCH_DTYPES_MAPPING
    for i, row in enumerate(rows):
        cache[i] = torch.from_numpy(row.astype(np.uint16))
    cache.done()
    cache.merge()


def litdata(folder: Path, shuffled: bool) -> Batches:
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader

    dataset = StreamingDataset(
        str(folder / "litdata"), item_loader=TokensLoader(block_size=CONTEXT + 1), shuffle=shuffled, seed=1
    )
    for tokens in StreamingDataLoader(dataset, batch_size=BATCH, num_workers=0):
        wide = tokens.long()
        yield wide[:, :-1], wide[:, 1:].contiguous()


def mosaicml_write(folder: Path) -> None:
    from streaming import MDSWriter

    columns = {"tokens": f"ndarray:uint16:{CONTEXT + 1}"}
    with MDSWriter(out=str(folder / "mds"), columns=columns, size_limit=2**25) as out:
        for row in rows_of(folder):
            out.write({"tokens": np.asarray(row)})


def mosaicml(folder: Path, shuffled: bool) -> Batches:
    import torch
    from streaming import StreamingDataset

    dataset = StreamingDataset(local=str(folder / "mds"), shuffle=shuffled, batch_size=BATCH, shuffle_seed=1)
    for batch in torch.utils.data.DataLoader(dataset, batch_size=BATCH):
        wide = batch["tokens"].long()
        yield wide[:, :-1], wide[:, 1:].contiguous()


def hf_datasets_write(folder: Path) -> None:
    import datasets
    import pyarrow as pa

    kind = pa.list_(pa.uint16(), CONTEXT + 1)
    flat = pa.array(rows_of(folder).reshape(-1))
    table = pa.table({"tokens": pa.FixedSizeListArray.from_arrays(flat, type=kind)})
    datasets.Dataset(table).save_to_disk(str(folder / "datasets"))


def hf_datasets(folder: Path, shuffled: bool) -> Batches:
    import datasets
    import torch

    rows = datasets.load_from_disk(str(folder / "datasets"))
    if shuffled:
        rows = rows.shuffle(seed=1, keep_in_memory=True)
    for batch in rows.with_format("numpy").iter(batch_size=BATCH):
        wide = torch.from_numpy(np.asarray(batch["tokens"]).astype(np.int64))
        yield wide[:, :-1], wide[:, 1:].contiguous()


class _MapSource:
    """Rows of the memory map, as Grain asks for them."""

    def __init__(self, folder: Path) -> None:
        self._rows = rows_of(folder)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Rows:
        return np.asarray(self._rows[key])


def grain(folder: Path, shuffled: bool) -> Batches:
    import torch
    from grain.python import MapDataset

    rows = MapDataset.source(_MapSource(folder))
    if shuffled:
        rows = rows.shuffle(seed=1)
    for batch in rows.batch(BATCH).to_iter_dataset():
        wide = torch.from_numpy(batch.astype(np.int64))
        yield wide[:, :-1], wide[:, 1:].contiguous()


TOOLS: dict[str, tuple[Callable[[Path, bool], Batches], Callable[[Path], None] | None, str | None]] = {
    "corpusmill": (corpusmill, None, None),
    "documents": (corpusmill_documents, None, None),
    "plain loop": (plain_loop, None, None),
    "two stacks": (two_stacks, None, None),
    "litdata": (litdata, litdata_write, "litdata"),
    "mosaicml": (mosaicml, mosaicml_write, "streaming"),
    "datasets": (hf_datasets, hf_datasets_write, "datasets"),
    "grain": (grain, None, "grain"),
}
"""By name: batches, how rows are written, and the library that has to be there."""


def measured(name: str, folder: Path, shuffled: bool, batches: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    make, _, library = TOOLS[name]
    if library is not None:
        __import__(library)
    before = _anonymous()
    start = time.perf_counter()
    made = make(folder, shuffled)
    next(made)
    first = time.perf_counter() - start
    for _ in range(WARM):
        next(made)
    speeds = []
    part = max(1, batches // 5)
    for _ in range(5):  # the best fifth: other work on the machine slows single ones
        start = time.perf_counter()
        for _ in range(part):
            inputs, labels = next(made)
        speeds.append(part * BATCH * CONTEXT / (time.perf_counter() - start))
    assert inputs.shape == labels.shape == (BATCH, CONTEXT)
    assert inputs.dtype == labels.dtype == torch.int64
    return {"first": first, "tokens": max(speeds), "memory": _anonymous() - before}


def _anonymous() -> float:
    """MiB of memory of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (found,) = [line for line in lines if line.startswith("RssAnon:")]
    return int(found.split()[1]) / 1024


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write = TOOLS[sys.argv[2]][1]
        assert write is not None
        write(Path(sys.argv[3]))
    else:
        print(
            json.dumps(measured(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "shuffled", int(sys.argv[4])))
        )
