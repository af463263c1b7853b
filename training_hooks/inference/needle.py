"""Needle in a haystack (Kamradt 2023): is what was read far back still found? (Report, section 4.3.)

A needle is a key followed by a value. It is put into a text at some depth, the key is repeated at the end of
the context, and the model is to give the value. Two measures: whether the greedy continuation is the value,
token for token, and the mean loss of the value's tokens. The same context without the needle gives the loss
that knowing nothing costs, so that a guessable value does not pass for one that was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from corpusmill.pipelines.contract.randomness import generator
from corpusmill.training_hooks.inference.decode import Decoder, head, padded
from corpusmill.training_hooks.inference.position_loss import token_losses
from corpusmill.training_hooks.model.transformer import Transformer

COLOURS = ("amber", "black", "crimson", "green", "indigo", "orange", "silver", "white")
THINGS = ("bridge", "candle", "garden", "harbour", "lantern", "meadow", "mirror", "river")


@dataclass(frozen=True)
class Needle:
    """What is put into the text is `before` + `value` + `after`, what is asked at the end is `before`."""

    before: tuple[int, ...]
    value: tuple[int, ...]
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class NeedleScore:
    """Of `trials` needles at one depth (0 the start, 1 the end) in contexts of one length in tokens:
    `retrieved`, the share whose value the greedy continuation gives, and the mean loss in nats of a value's
    token, with the needle and without."""

    length: int
    depth: float
    trials: int
    retrieved: float
    loss: float
    loss_without: float


def text_needle(encode: Callable[[str], Sequence[int]], seed: int, trial: int) -> Needle:
    """A sentence in English, `The pass key of the amber harbour is 31728.`, key and number drawn."""
    draw = generator(seed, f"needle {trial}")
    name = f"{COLOURS[draw.integers(len(COLOURS))]} {THINGS[draw.integers(len(THINGS))]}"
    number = int(draw.integers(10_000, 100_000))
    parts = (f"\nThe pass key of the {name} is", f" {number}", ".\n")
    return Needle(*(tuple(int(token) for token in encode(part)) for part in parts))


def token_needle(tokens: Sequence[int], seed: int, trial: int, key: int = 4, value: int = 4) -> Needle:
    """`key` and `value` tokens drawn from `tokens`: needs no tokenizer, and no language of the model, only
    that it copies what followed the same tokens before."""
    draw = generator(seed, f"token needle {trial}")
    picked = [int(tokens[place]) for place in draw.integers(len(tokens), size=key + value)]
    return Needle(tuple(picked[:key]), tuple(picked[key:]))


def context(needle: Needle, haystack: Sequence[int], length: int, depth: float) -> list[int]:
    """`length` tokens: the start of `haystack` with the needle at `depth`, and the key at the end; the value
    would follow. Raises ValueError where needle and key do not fit or the haystack is too short."""
    inside = (*needle.before, *needle.value, *needle.after)
    room = length - len(inside) - len(needle.before)
    if room < 0 or not 0 <= depth <= 1:
        raise ValueError(f"a needle of {len(inside)} tokens and its key at depth {depth} in {length} tokens")
    if len(haystack) < room:
        raise ValueError(f"a haystack of {len(haystack)} tokens, {room} needed")
    place = round(depth * room)
    return [*haystack[:place], *inside, *haystack[place:room], *needle.before]


def probe(
    model: Transformer,
    haystacks: Sequence[Sequence[int]],
    needles: Sequence[Needle],
    *,
    lengths: Sequence[int],
    depths: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    batch: int = 1,
) -> Iterator[NeedleScore]:
    """Scores at every length and depth, lengths outermost, as they come. Needle i goes into haystack i modulo
    their number. `batch`: contexts that pass at once. Raises ValueError where a haystack is shorter than the
    longest context, and as `context`."""
    if not needles or not haystacks:
        raise ValueError("a probe needs at least one needle and one haystack")
    if (shortest := min(map(len, haystacks))) < max(lengths):
        raise ValueError(f"a haystack of {shortest} tokens for contexts of {max(lengths)}")
    for length in lengths:
        without: list[float] = []
        for depth in depths:
            found, losses = 0, []
            for start in range(0, len(needles), batch):
                picked = needles[start : start + batch]
                hay = [haystacks[(start + i) % len(haystacks)] for i in range(len(picked))]
                rows = [context(n, h, length, depth) for n, h in zip(picked, hay, strict=True)]
                for right, loss in _values(model, rows, picked):
                    found += right
                    losses.append(loss)
                if len(without) < len(needles):
                    bare = [
                        [*h[: length - len(n.before)], *n.before] for n, h in zip(picked, hay, strict=True)
                    ]
                    without += [loss for _, loss in _values(model, bare, picked)]
            trials = len(needles)
            yield NeedleScore(
                length, depth, trials, found / trials, sum(losses) / trials, sum(without) / trials
            )


@torch.no_grad()
def _values(
    model: Transformer, rows: Sequence[Sequence[int]], needles: Sequence[Needle]
) -> Iterator[tuple[bool, float]]:
    """Whether each row's greedy continuation is its needle's value, and the value's mean loss.

    One pass a row: the greedy continuation is the value if and only if each of its tokens is the most likely
    after those before it."""
    counts = [len(row) for row in rows]
    values = [needle.value for needle in needles]
    decoder = Decoder(model, len(rows), max(counts) + max(map(len, values)))
    ready_BTD = decoder.feed(padded(rows), counts)
    first_BD = ready_BTD[torch.arange(len(rows)), torch.tensor(counts) - 1]
    targets_BT = padded(values).to(first_BD.device)
    rest_BTD = decoder.feed(targets_BT[:, :-1]) if targets_BT.shape[1] > 1 else first_BD[:, None, :][:, :0]
    ready_BTD = torch.cat((first_BD[:, None], rest_BTD), dim=1)
    losses_BT = token_losses(model, ready_BTD, targets_BT)
    right_BT = head(model, ready_BTD).argmax(-1) == targets_BT
    for row, value in enumerate(values):
        yield bool(right_BT[row, : len(value)].all()), float(losses_BT[row, : len(value)].mean())
