"""Token shards in the format of another library: a file, or a few, for each, read again and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.inspection.shard_files import shards_at
from corpusmill.pipelines.system.new_folder import new_folder
from corpusmill.tokenizer.shards.reader import Shard, open_shard

Write = Callable[[Shard, Path], Sequence[Path]]  # the shard, and the path of its files without their endings
Tokens = Callable[[Sequence[Path], Shard], bytes]  # the ids that the files hold, little-endian, row by row


def shard_export(write: Write, read: Tokens) -> Export:
    """An export whose format is written by `write`, and whose files `read` reads again."""

    def export(what: Path, out: Path) -> dict[str, Any]:
        found = shards_at(what)
        files: dict[str, int] = {}
        tokens = 0
        with new_folder(out) as folder:
            for part, paths in found.items():
                for path in paths:
                    place = folder / part if all(found.values()) else folder
                    place.mkdir(exist_ok=True)
                    shard = open_shard(path)
                    made = write(shard, place / path.stem)
                    tokens += _compare(shard, read(made, shard), path)
                    files |= {str(each.relative_to(folder)): each.stat().st_size for each in made}
        shards = {part: len(paths) for part, paths in found.items() if paths}
        return {"folder": str(out), "shards": shards, "tokens": tokens, "files": files}

    return Export("shards", export)


def _compare(shard: Shard, written: bytes, path: Path) -> int:
    """Tokens of the shard. Raises CorpusmillError unless `written` holds every row of it without padding."""
    size, at = shard.dtype.itemsize, 0
    for row, length in enumerate(shard.row_lengths().tolist()):
        wanted = shard.tokens(row)[:length].astype(shard.dtype.newbyteorder("<")).tobytes()
        if written[at : at + len(wanted)] != wanted:
            raise CorpusmillError(f"{path}: row {row} comes back different; try another disk")
        at += len(wanted)
    if at != len(written):
        raise CorpusmillError(f"{path}: {len(written) - at} bytes more come back than were written")
    return at // size
