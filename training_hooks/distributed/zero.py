"""ZeRO-1 (Rajbhandari et al. 2020): each rank has an equal share of the optimiser's state, and updates it.

Pieces that the same ranks have lie end to end in one line, which is cut into buckets, and each bucket into as
many equal shares as there are ranks. After the passes of a step:

1. `reduce`: share i of every rank's gradients goes to rank i (all-to-all), which adds them up in FP32
   (FP64 for wide weights), in the order of the ranks. Half the bytes of an all-reduce, and a sum that depends
   on no size of buckets.
2. `step`: AdamW on the rank's share, with moments (and masters, where weights are not FP32) of that share
   alone, then every rank gets the new weights of the others' shares (all-gather).

AdamW works number by number, so a share is updated to the very bits that the whole tensor would be. Memory
besides weights and gradients: FP32 gradients of the own share, and two buckets while they travel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.distributed.pieces import Piece
from corpusmill.training_hooks.trainer.adamw import AdamW
from corpusmill.training_hooks.trainer.clipping import sum_of_squares
from corpusmill.training_hooks.trainer.optimiser import set_learning_rate

BUCKET = 2**24  # numbers that travel at once


class _Segment(NamedTuple):
    """Numbers [start, stop) of a piece's own."""

    piece: Piece
    start: int
    stop: int


class Owned(NamedTuple):
    """Range [start, stop) of the whole tensor `name`, whose state this rank has; `weight`: its numbers in
    the model."""

    name: str
    start: int
    stop: int
    weight: nn.Parameter


@dataclass
class _Bucket:
    """Segments end to end, and a rank's share of them."""

    segments: list[_Segment]
    group: dist.ProcessGroup
    number: int  # of this rank in the group

    def __post_init__(self) -> None:
        self.size = sum(s.stop - s.start for s in self.segments)
        self.ranks = self.group.size()
        self.share = -(-self.size // self.ranks)
        first = self.number * self.share
        self.owned: list[Owned] = []
        self.places: list[int] = []  # of the owned, in the share
        for segment, place in self._placed():
            weights = _flat(segment.piece.parameter)
            start = max(segment.start, segment.start + first - place)
            stop = min(segment.stop, segment.start + first + self.share - place)
            if start < stop:
                weight = nn.Parameter(weights[start:stop])
                weight.grad_dtype = self._sums()
                begin = segment.piece.range.start
                self.owned.append(Owned(segment.piece.range.name, begin + start, begin + stop, weight))
                self.places.append(place + start - segment.start - first)

    def _sums(self) -> torch.dtype:
        """The type that gradients are added up in: FP64 for wide weights (`model.wide_sums`), too."""
        weight = self.segments[0].piece.parameter
        return torch.float64 if torch.float64 in (weight.dtype, weight.grad_dtype) else torch.float32

    def _placed(self) -> Iterator[tuple[_Segment, int]]:
        """Every segment, and where it begins in the bucket."""
        place = 0
        for segment in self.segments:
            yield segment, place
            place += segment.stop - segment.start

    def _line(self, dtype: torch.dtype) -> Tensor:
        device = self.segments[0].piece.parameter.device
        return torch.zeros(self.ranks * self.share, dtype=dtype, device=device)

    def reduce(self) -> Tensor:
        """The sum of all ranks' gradients of the own share, which also becomes the owned weights'."""
        line = self._line(self._sums())
        for segment, place in self._placed():
            grad = segment.piece.parameter.grad
            if grad is not None:
                line[place : place + segment.stop - segment.start] = grad.view(-1)[
                    segment.start : segment.stop
                ]
        if self.ranks == 1:
            total = line
        else:
            arrived = torch.empty_like(line)
            dist.all_to_all_single(arrived, line, group=self.group)
            total, *others = arrived.view(self.ranks, self.share)
            total = total.clone()
            for other in others:
                total += other
        for owned, place in zip(self.owned, self.places, strict=True):
            owned.weight.grad = total[place : place + owned.stop - owned.start]
        return total

    @torch.no_grad()
    def gather(self) -> None:
        """The weights as their owners have updated them."""
        if self.ranks == 1:
            return
        line = self._line(self.segments[0].piece.parameter.dtype)
        own = line.new_zeros(self.share)
        for owned, place in zip(self.owned, self.places, strict=True):
            own[place : place + owned.stop - owned.start] = owned.weight
        dist.all_gather_single(line, own, group=self.group)
        for segment, place in self._placed():
            weights = _flat(segment.piece.parameter)
            weights[segment.start : segment.stop] = line[place : place + segment.stop - segment.start]


class ShardedAdamW:
    """AdamW whose state is divided over the ranks that have the same pieces. All ranks of `groups` make it
    and call its methods together.

    Vectors do not decay, as in `trainer.optimiser.adamw`: `matrices` are the names of those that do. Raises
    ValueError for a parameter whose numbers do not lie in order.
    """

    def __init__(
        self,
        pieces: Iterable[Piece],
        groups: Groups,
        matrices: Iterable[str],
        *,
        moments: torch.dtype = torch.float32,
        weight_decay: float = 0.1,
        bucket: int = BUCKET,
    ) -> None:
        lines: dict[tuple[tuple[int, ...], torch.dtype], list[Piece]] = {}
        for piece in pieces:
            lines.setdefault((piece.range.ranks, piece.parameter.dtype), []).append(piece)
        self._buckets = [
            _Bucket(segments, groups.of(ranks), ranks.index(groups.rank))
            for (ranks, _), line in lines.items()
            for segments in _cut(line, bucket)
        ]
        decaying = set(matrices)
        self.owned = [owned for one in self._buckets for owned in one.owned]
        parts = [
            (
                [o.weight for o in self.owned if (o.name in decaying) is decays],
                weight_decay if decays else 0.0,
            )
            for decays in (True, False)
        ]
        self._adamw = AdamW(
            [{"params": weights, "weight_decay": decay} for weights, decay in parts],
            lr=0.0,
            betas=(0.9, 0.95),
            eps=1e-8,
            moments=moments,
        )

    def reduce(self) -> float:
        """Add up the gradients over the ranks, and let go of those of the pieces. The sum of squares of the
        own share: every number of the model is in that of one rank."""
        squares = 0.0
        for bucket in self._buckets:
            squares += float(sum_of_squares(bucket.reduce()))
        for bucket in self._buckets:
            for segment in bucket.segments:
                segment.piece.parameter.grad = None
        return squares

    @torch.no_grad()
    def step(self, rate: float, factor: float) -> None:
        """Update with the reduced gradients times `factor`, and make the weights whole everywhere."""
        for owned in self.owned:
            if owned.weight.grad is not None:
                owned.weight.grad *= factor
        set_learning_rate(self._adamw, rate)
        self._adamw.step()
        for bucket in self._buckets:
            bucket.gather()
        for owned in self.owned:
            owned.weight.grad = None

    def state(self) -> Iterator[tuple[Owned, dict[str, Tensor], int]]:
        """Of what this rank owns, its tensors by `exp_avg`, `exp_avg_sq` and `master`, and the steps taken.
        Nothing before the first step."""
        for owned in self.owned:
            state = self._adamw.state.get(owned.weight)
            if state:
                tensors = {name: value for name, value in state.items() if name != "step"}
                yield owned, tensors, int(state["step"])

    def load(self, read: Callable[[str, Owned], Tensor | None], steps: dict[str, int]) -> None:
        """Go on from `read(moment, owned)`, None for what there is not, and the steps of each parameter."""
        self._adamw.state.clear()
        for owned in self.owned:
            if owned.name not in steps:
                continue
            state: dict[str, Tensor | int] = {"step": steps[owned.name]}
            for moment in ("exp_avg", "exp_avg_sq", "master"):
                tensor = read(moment, owned)
                if tensor is not None:
                    state[moment] = tensor.to(owned.weight.device)
            self._adamw.state[owned.weight] = state

    def state_bytes(self) -> int:
        """Bytes of this rank's state."""
        return sum(t.numel() * t.element_size() for _, tensors, _ in self.state() for t in tensors.values())


def _flat(parameter: nn.Parameter) -> Tensor:
    if not parameter.is_contiguous():
        raise ValueError(f"a parameter of {tuple(parameter.shape)} whose numbers do not lie in order")
    return parameter.detach().view(-1)


def _cut(pieces: list[Piece], size: int) -> Iterator[list[_Segment]]:
    """The pieces end to end, in buckets of `size` numbers."""
    segments: list[_Segment] = []
    room = size
    for piece in pieces:
        start, stop = 0, piece.parameter.numel()
        while start < stop:
            taken = min(room, stop - start)
            segments.append(_Segment(piece, start, start + taken))
            start, room = start + taken, room - taken
            if room == 0:
                yield segments
                segments, room = [], size
    if segments:
        yield segments
