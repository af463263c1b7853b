"""Assembles batches of token sequences straight from memory-mapped shards, one call a batch.

A window's place follows from its sample's number: the permutation gives the window, a search over the ends of
shards its shard, a division its record batch. Tokens are read at that batch's address in the memory map and
written where the batch wants them, widened on the way; no row passes through the interpreter. Rows lie at
random places, so the memory of the row `AHEAD` samples on is asked for before a row is read.

An address of 0 stands for a record batch that was not opened and verified yet: kernels stop there, and say at
which sample. All take the order of an epoch of a phase (`n`, `half`, `keys` of its permutation; without
keys windows stand in the order of the shards) and a table of its shards: `ends_S`, rows up to the end of each
shard; `sizes_S`, rows of its record batches; `firsts_S`, the number of its first record batch among all;
`bases_B`, where in memory a record batch's tokens begin; `parts_B4`, where the offsets (int32), starts
(int32), lengths (int32) and sources (uint16) of its pieces begin. All int64. S shards, B record batches, N
samples, W tokens a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, forced, integer
from corpusmill.pipelines.text.mixing import SPLITMIX64

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

AHEAD = 2
LINE = 64
_A, _B, _C, _D, _E = SPLITMIX64

if TYPE_CHECKING:

    def elements(address: int, count: int, kind: Array) -> npt.NDArray[Any]: ...

    def fetch_line(address: int) -> None: ...

else:
    from llvmlite import ir
    from numba import carray, types
    from numba.core import cgutils
    from numba.extending import intrinsic

    @intrinsic
    def _pointer(context, address):
        """An address as a pointer that `carray` takes."""

        def generate(target, builder, signature, arguments):
            return builder.inttoptr(arguments[0], target.get_value_type(types.voidptr))

        return types.voidptr(types.int64), generate

    @intrinsic
    def fetch_line(context, address):
        """Ask for the cache line at an address for reading, without waiting for it."""

        def generate(target, builder, signature, arguments):
            pointer = builder.inttoptr(arguments[0], target.get_value_type(types.voidptr))
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            # to read, into all caches, as data
            builder.call(function, [pointer, *(ir.Constant(number, value) for value in (0, 3, 1))])
            return target.get_dummy_value()

        return types.void(types.int64), generate

    @forced
    def elements(address, count, kind):
        """`count` elements at an address, of the type of the array `kind`."""
        return carray(_pointer(address), count, kind.dtype)


@compiled
def _mixed(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> _A)) * _B
    value = (value ^ (value >> _C)) * _D
    return value ^ (value >> _E)


@compiled
def permuted(position: int, n: int, half: int, keys: Keys) -> int:
    """Where `loading.permutation` sends a position of 0..n-1; without keys the position itself."""
    if len(keys) == 0:
        return position
    shift = np.uint64(half)
    mask = (np.uint64(1) << shift) - np.uint64(1)
    value = np.uint64(position)
    while True:
        left, right = value >> shift, value & mask
        for k in range(len(keys)):
            left, right = right, left ^ (_mixed(right ^ keys[k]) & mask)
        value = (left << shift) | right
        if value < np.uint64(n):
            return np.int64(value)  # type: ignore[return-value]


@compiled
def permuted_all(positions: Integers, n: int, half: int, keys: Keys) -> Integers:
    """`permuted` of each of `positions`, int64 of the same length."""
    out = np.empty_like(positions)
    for i in range(len(positions)):
        out[i] = permuted(positions[i], n, half, keys)
    return out


@compiled
def _shard_of(row: int, ends_S: Integers) -> int:
    low, high = integer(0), len(ends_S)
    while low < high:
        middle = (low + high) >> 1
        if ends_S[middle] <= row:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def batch_and_row(row: int, ends_S: Integers, sizes_S: Integers, firsts_S: Integers) -> tuple[int, int]:
    """Number of the record batch that a row of the phase lies in, and its row there."""
    shard = _shard_of(row, ends_S)
    within = row - ends_S[shard - 1] if shard > 0 else row
    size = sizes_S[shard]
    return firsts_S[shard] + within // size, within % size


@compiled
def place_of(
    position: int,
    n: int,
    half: int,
    keys: Keys,
    windows_a_row: int,
    context: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
) -> tuple[int, int, int]:
    """Of the sample at a place of the order: number of its record batch, its row there, and its first token's
    place in the row."""
    window = permuted(position, n, half, keys)
    row = window // windows_a_row
    batch, within = batch_and_row(row, ends_S, sizes_S, firsts_S)
    return batch, within, (window - row * windows_a_row) * context


@compiled
def locate(
    first: int,
    count: int,
    n: int,
    half: int,
    keys: Keys,
    windows_a_row: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
) -> Integers:
    """int64[count, 4] of the samples from place `first` of the order on: shard, its row, the window in the
    row, and the number of the record batch."""
    out = np.empty((count, 4), np.int64)
    for i in range(count):
        window = permuted(first + i, n, half, keys)
        row = window // windows_a_row
        shard = _shard_of(row, ends_S)
        within = row - ends_S[shard - 1] if shard > 0 else row
        out[i, 0], out[i, 1], out[i, 2] = shard, within, window % windows_a_row
        out[i, 3] = firsts_S[shard] + within // sizes_S[shard]
    return out


@forced
def _fetch(
    position: int,
    n: int,
    half: int,
    keys: Keys,
    windows_a_row: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
    bases_B: Integers,
    length: int,
    context: int,
    width: int,
    kind: Array,
) -> None:
    """Ask for the memory of the window at a place of the order, if there is such a place and it is open."""
    if position >= n:
        return
    batch, within, start = place_of(
        position, n, half, keys, windows_a_row, context, ends_S, sizes_S, firsts_S
    )  # fmt: skip
    if bases_B[batch] == 0:
        return
    first = bases_B[batch] + (within * length + start) * kind.itemsize
    for address in range(first, first + min(length - start, width) * kind.itemsize, LINE):
        fetch_line(address)


@forced
def _write_tokens(address: int, left: int, pad: int, kind: Array, out_W: Array) -> None:
    """The tokens of one sample, of a row that has `left` from its first on; `pad` past the row's end."""
    ids = elements(address, left, kind)
    there = min(left, len(out_W))
    for t in range(there):
        out_W[t] = ids[t]
    for t in range(there, len(out_W)):
        out_W[t] = pad


@compiled
def gather(
    first: int,
    n: int,
    half: int,
    keys: Keys,
    windows_a_row: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
    bases_B: Integers,
    length: int,
    context: int,
    pad: int,
    kind: Array,
    out_NW: Array,
) -> int:
    """Write the tokens of the samples from place `first` of the order on, padded with `pad` past the end of
    their rows of `length` tokens; how many could be written."""
    width = out_NW.shape[1]
    for i in range(len(out_NW)):
        _fetch(
            first + i + AHEAD, n, half, keys, windows_a_row, ends_S, sizes_S, firsts_S, bases_B, length,
            context, width, kind,
        )  # fmt: skip
        batch, within, start = place_of(
            first + i, n, half, keys, windows_a_row, context, ends_S, sizes_S, firsts_S
        )  # fmt: skip
        if bases_B[batch] == 0:
            return i
        address = bases_B[batch] + (within * length + start) * kind.itemsize
        _write_tokens(address, length - start, pad, kind, out_NW[i])
    return len(out_NW)


@compiled
def gather_pairs(
    first: int,
    n: int,
    half: int,
    keys: Keys,
    windows_a_row: int,
    ends_S: Integers,
    sizes_S: Integers,
    firsts_S: Integers,
    bases_B: Integers,
    length: int,
    context: int,
    pad: int,
    ignored: int,
    kind: Array,
    inputs_NT: Array,
    labels_NT: Array,
) -> int:
    """As `gather`: inputs, and as labels the tokens one place on, `ignored` where these are padding or past
    the end of the row."""
    width = inputs_NT.shape[1]
    for i in range(len(inputs_NT)):
        _fetch(
            first + i + AHEAD, n, half, keys, windows_a_row, ends_S, sizes_S, firsts_S, bases_B, length,
            context, width, kind,
        )  # fmt: skip
        batch, within, start = place_of(
            first + i, n, half, keys, windows_a_row, context, ends_S, sizes_S, firsts_S
        )  # fmt: skip
        if bases_B[batch] == 0:
            return i
        address = bases_B[batch] + (within * length + start) * kind.itemsize
        _write_tokens(address, length - start, pad, kind, inputs_NT[i])
        labels_T = labels_NT[i]
        there = min(length - start - 1, width)
        targets = elements(address + kind.itemsize, there, kind)
        for t in range(there):
            target = np.int64(targets[t])
            labels_T[t] = ignored if target == pad else target
        for t in range(there, width):
            labels_T[t] = ignored
    return len(inputs_NT)
