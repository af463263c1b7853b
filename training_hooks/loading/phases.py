"""Shards by the phase of the mixture that they belong to, and what shards of one training must agree on."""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.tokenizer.shards.format import TRAIN, Phase
from corpusmill.tokenizer.shards.reader import Shard


def by_phase(shards: Sequence[Shard]) -> list[tuple[Phase, list[int]]]:
    """The phases in the order of their numbers, and the places of their shards in `shards`, in order."""
    found: dict[Phase, list[int]] = {}
    for place, shard in enumerate(shards):
        found.setdefault(shard.phase, []).append(place)
    return sorted(found.items(), key=lambda item: item[0].number)


def refuse_strangers(shards: Sequence[Shard]) -> None:
    """Raises IntegrityError naming a shard that is held out, or that differs from the first one in what all
    must share, or from the first of its phase in the phase's name or row length."""
    of_phase: dict[int, Shard] = {}
    for shard in shards:
        if shard.metadata.get("split", TRAIN) != TRAIN:
            raise IntegrityError(
                f"{shard.path} holds documents that no model may be trained on: leave it out"
            )
        for fact in ("tokenizer", "vocab_size", "model_vocab_size", "pad_id"):
            _compare(shard, shards[0], fact, "shards of one training must come from one tokenizer")
        number, name = shard.phase
        first = of_phase.setdefault(number, shard)
        if name != first.phase.name:
            raise IntegrityError(
                f"{shard.path} is of phase {number}, {name}, but {first.path} calls it {first.phase.name}: "
                "shards of one training must come from one mixture"
            )
        _compare(shard, first, "sequence_length", "shards of one phase must come from one packing")


def _compare(shard: Shard, other: Shard, fact: str, cure: str) -> None:
    ours, theirs = shard.metadata.get(fact), other.metadata.get(fact)
    if ours != theirs:
        raise IntegrityError(f"{shard.path} has {fact} {ours}, but {other.path} has {theirs}: {cure}")
