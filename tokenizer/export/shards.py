"""Token shards in the format of another library: whole steps at once, read again and compared.

Shards are taken in sets: those trained on and those held out never meet in one folder, and each phase of a
mixture is a set of its own. Of a set a format writes as many files as it likes:

    OUT/corpusmill.json               what the ids mean: tokenizer, special tokens, policies; the shards
    OUT/train/..., OUT/held_out/...   the files of each set; with phases OUT/train/phase-0/...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.conversion import Export
from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, UserError
from corpusmill.pipelines.inspection.shard_files import shards_at
from corpusmill.pipelines.system.new_folder import new_folder
from corpusmill.tokenizer.export.sequences import Kind, Sequences, Tokens
from corpusmill.tokenizer.shards.format import HELD_OUT, TRAIN, Phase
from corpusmill.tokenizer.shards.framing import framing_fault
from corpusmill.tokenizer.shards.reader import Shard, open_shard

SIDECAR = "corpusmill.json"
_FIRST_ROWS = 64  # in which documents must begin and end as the shard says
_SAME = ("tokenizer", "vocab_size", "model_vocab_size", "pad_id", "bos_id", "eos_id", "add_bos", "add_eos")


@dataclass(frozen=True)
class ShardSet:
    """Shards of one purpose and phase, in order; `metadata` are those of the first."""

    folder: str
    phase: Phase
    paths: tuple[Path, ...]
    metadata: Mapping[str, Any]

    def sequences(self, kind: Kind, *, padded: bool) -> Iterator[Sequences]:
        """Those of each shard, one opened after the other."""
        for path in self.paths:
            yield Sequences(open_shard(path), kind, padded=padded)


Write = Callable[[Iterator[Sequences], ShardSet, Path], Sequence[Path]]
Read = Callable[[Path, ShardSet], Iterator[Tokens]]


@dataclass(frozen=True)
class ShardFormat:
    """How a library has token ids.

    `write(sequences of each shard, set, folder)` writes files into the folder and returns their paths;
    `read(folder, set)` gives the sequences that they hold, in order. `kinds`: what may be a sequence, the
    usual one first. `padded`: rows are written with their padding. `one_length`: all rows of a set must be of
    one length. `beside(sets)`: small files at the top, name -> text.
    """

    write: Write
    read: Read
    kinds: tuple[Kind, ...]
    padded: bool = False
    one_length: bool = False
    beside: Callable[[Sequence[ShardSet]], Mapping[str, str]] | None = None


def shard_export(form: ShardFormat) -> Export:
    """The export of token shards in this format."""

    def export(what: Path, out: Path, sequences: Kind | None = None) -> dict[str, Any]:
        kind = form.kinds[0] if sequences is None else sequences
        if kind not in form.kinds:
            raise UserError(f"this format takes --sequences {' or '.join(form.kinds)}, not {kind}")
        sets = shard_sets(what)
        files: dict[str, int] = {}
        totals: dict[str, int] = dict.fromkeys(("tokens", "sequences"), 0)
        with new_folder(out) as folder:
            for one in sets:
                if form.one_length:
                    _require_one_length(one)
                place = folder / one.folder
                place.mkdir(parents=True, exist_ok=True)
                made = form.write(one.sequences(kind, padded=form.padded), one, place)
                found = _compare(one, kind, form, place)
                totals = {name: totals[name] + found[name] for name in totals}
                files |= {str(each.relative_to(folder)): each.stat().st_size for each in made}
            _write_sidecar(folder / SIDECAR, sets, kind)
            for name, text in (form.beside(sets) if form.beside is not None else {}).items():
                (folder / name).write_text(text, encoding="utf-8")
        shards: dict[str, int] = {}
        for one in sets:
            shards[one.folder] = len(one.paths)
        return {"folder": str(out), "of": kind, "shards": shards, **totals, "files": files}

    return Export("shards", export, ("sequences",))


def shard_sets(what: Path) -> list[ShardSet]:
    """The shards of a run, its step, a folder or one file, as sets: training first, phases in order.

    What a shard is for is what its metadata says, whatever it is called. Raises UserError where there are no
    shards or they are of different tokenizers, IntegrityError where documents in the first rows of one do not
    begin and end as it says.
    """
    members: dict[tuple[bool, Phase], list[tuple[int, Path]]] = {}
    facts: dict[tuple[bool, Phase], Mapping[str, Any]] = {}
    first: Shard | None = None
    for part, paths in shards_at(what).items():
        for path in paths:
            shard = open_shard(path)
            first = first or shard
            fault = framing_fault(shard, _FIRST_ROWS)
            if fault is not None:
                raise IntegrityError(f"{path}: {fault}")
            for name in _SAME:
                if shard.metadata.get(name) != first.metadata.get(name):
                    raise UserError(
                        f"{path} has {name} {shard.metadata.get(name)}, {first.path} has "
                        f"{first.metadata.get(name)}: export them apart"
                    )
            key = (HELD_OUT in (part, shard.metadata.get("split")), shard.phase)
            members.setdefault(key, []).append((int(shard.metadata.get("partition", 0)), path))
            facts.setdefault(key, shard.metadata)
    phased = any(phase != Phase(0, None) for _, phase in members)
    return [
        ShardSet(
            (HELD_OUT if held_out else TRAIN) + (f"/phase-{phase.number}" if phased else ""),
            phase,
            tuple(path for _, path in sorted(members[held_out, phase])),
            facts[held_out, phase],
        )
        for held_out, phase in sorted(members, key=lambda key: (key[0], key[1].number))
    ]


def _require_one_length(one: ShardSet) -> None:
    length = one.metadata["sequence_length"]
    for path in one.paths:
        found = open_shard(path).sequence_length
        if found != length:
            raise UserError(
                f"{path} has rows of {found} tokens, {one.paths[0]} of {length}: export them apart"
            )


def _compare(one: ShardSet, kind: Kind, form: ShardFormat, place: Path) -> dict[str, int]:
    """Numbers of tokens and sequences. Raises CorpusmillError unless the shards' sequences come back."""
    written = form.read(place, one)
    tokens = count = 0
    for sequences in one.sequences(kind, padded=form.padded):
        for number, wanted in enumerate(sequences):
            try:
                found = next(written, None)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise CorpusmillError(f"{place} cannot be read again: {error}; try another disk") from error
            if found is None or not np.array_equal(found, wanted):
                raise CorpusmillError(
                    f"{sequences.shard.path}: {kind} {number} comes back different; try another disk"
                )
            count += 1
        tokens += int(sequences.lengths().sum())
    if next(written, None) is not None:
        raise CorpusmillError(f"{place}: more {kind} come back than were written")
    return {"tokens": tokens, "sequences": count}


def _write_sidecar(path: Path, sets: Sequence[ShardSet], kind: Kind) -> None:
    names = (*_SAME, "special_tokens", "encoder", "seed", "sources", "sequence_length", "method")
    facts = {
        one.folder: {
            "phase": one.phase._asdict(),
            "shards": [path.name for path in one.paths],
            **{name: one.metadata.get(name) for name in names},
        }
        for one in sets
    }
    path.write_text(
        json.dumps({"sequences": kind, "sets": facts}, ensure_ascii=False, indent=1, sort_keys=True) + "\n",
        encoding="utf-8",
    )
