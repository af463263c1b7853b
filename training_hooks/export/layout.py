"""Which tensor of the released files holds which part of ours: the one table behind export and import.

The released files keep every expert's three matrices apart where ours are stacked, number the MTP modules on
after the main layers, repeat embedding and head in each of them, and join [embedding; hidden] where ours
(and equation 21) join [hidden; embedding]. The rotary part of queries and keys lies in neighbouring pairs
on both sides, so nothing is permuted (`rope_interleave` of transformers).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """Tensor `name` of the files is `key` of `Transformer.state_dict`, or one expert of that, or some `rows`
    of the expert (start, stop). `swapped`: with the halves of its last axis exchanged. `repeated`: a copy of
    what another piece holds."""

    name: str
    key: str
    expert: int | None = None
    rows: tuple[int, int] | None = None
    swapped: bool = False
    repeated: bool = False

    def take(self, state: Mapping[str, Tensor]) -> Tensor:
        """The tensor as the files hold it, sharing memory with `state` unless swapped."""
        return self._exchanged(self._part(state))

    def put(self, state: Mapping[str, Tensor], tensor: Tensor) -> None:
        """Copy a tensor of the files into its place in `state`, converting its type."""
        self._part(state).copy_(self._exchanged(tensor))

    def _part(self, state: Mapping[str, Tensor]) -> Tensor:
        whole = state[self.key]
        if self.expert is None:
            return whole
        return whole[self.expert] if self.rows is None else whole[self.expert][slice(*self.rows)]

    def _exchanged(self, tensor: Tensor) -> Tensor:
        return torch.cat(tensor.chunk(2, dim=-1)[::-1], dim=-1) if self.swapped else tensor


def pieces(state: Mapping[str, Tensor], layers: int) -> list[Piece]:
    """Every tensor of the files for a model of `layers` main layers; `state` may be on the meta device."""
    return [piece for key in state for piece in _of_key(key, state[key].shape, layers)] + [
        Piece(f"model.layers.{number}.{name}", key, repeated=True)
        for number in mtp_layers(state, layers)
        for name, key in (
            ("embed_tokens.weight", "embed_tokens.weight"),
            ("shared_head.head.weight", "lm_head.weight"),
        )
    ]


def mtp_layers(keys: Iterable[str], layers: int) -> list[int]:
    """The numbers that the MTP modules among `keys` have in the files."""
    depths = {int(key.split(".")[1]) for key in keys if key.startswith("mtp.")}
    return [layers + depth for depth in sorted(depths)]


def _of_key(key: str, shape: torch.Size, layers: int) -> Iterator[Piece]:
    room, _, rest = key.partition(".")
    if room == "lm_head":
        yield Piece(key, key)
        return
    if room not in ("layers", "mtp"):
        yield Piece(f"model.{key}", key)
        return
    number, _, rest = rest.partition(".")
    if room == "layers":
        yield from _of_block(key, f"model.layers.{number}", rest, shape)
        return
    prefix = f"model.layers.{layers + int(number)}"
    if rest.startswith("block."):
        yield from _of_block(key, prefix, rest.removeprefix("block."), shape)
    elif rest == "norm.weight":
        yield Piece(f"{prefix}.shared_head.norm.weight", key)
    else:
        yield Piece(f"{prefix}.{rest}", key, swapped=rest == "eh_proj.weight")


def _of_block(key: str, prefix: str, rest: str, shape: torch.Size) -> Iterator[Piece]:
    if not rest.startswith("mlp.experts."):
        yield Piece(f"{prefix}.{rest}", key)
        return
    for expert in range(shape[0]):
        name = f"{prefix}.mlp.experts.{expert}"
        if rest == "mlp.experts.down_proj":
            yield Piece(f"{name}.down_proj.weight", key, expert)
        else:
            middle = shape[1] // 2
            yield Piece(f"{name}.gate_proj.weight", key, expert, (0, middle))
            yield Piece(f"{name}.up_proj.weight", key, expert, (middle, shape[1]))
