"""Formats, tiles and scales against the plain restatement in tests/oracles/training_fp8.py."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from corpusmill.training_hooks.precision import quantise as module
from corpusmill.training_hooks.precision.exchange import combine_payload, dispatch_payload, received
from corpusmill.training_hooks.precision.formats import (
    E4M3,
    E5M6,
    Format,
    from_e4m3,
    from_e5m6,
    round_e5m6,
    to_e4m3,
    to_e5m6,
)
from corpusmill.training_hooks.precision.quantise import ALONG_COLUMN, ALONG_ROW, BLOCK, quantise
from tests.oracles import training_fp8 as oracle

TILES = {"row": ALONG_ROW, "column": ALONG_COLUMN, "block": BLOCK}
FORMATS = {"e4m3": (E4M3, oracle.E4M3), "e5m6": (E5M6, oracle.E5M6)}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Equal, and -0 differs from 0."""
    return torch.equal(one.contiguous().view(torch.int32), other.contiguous().view(torch.int32))


def test_e4m3_has_the_codes_of_its_definition() -> None:
    codes = torch.arange(0x7F, dtype=torch.uint8).view(torch.float8_e4m3fn)
    assert from_e4m3(codes).tolist() == [float(v) for v in oracle.E4M3]
    assert float(oracle.E4M3[-1]) == E4M3.largest


def test_e5m6_has_the_codes_of_its_definition() -> None:
    values = torch.tensor([float(v) for v in oracle.E5M6])
    assert float(values[-1]) == E5M6.largest
    for signed, sign_bit in ((values, 0), (-values, 1)):
        packed = to_e5m6(signed).tolist()
        codes = [
            code
            for i in range(0, len(packed), 3)
            for code in (
                packed[i] | (packed[i + 1] & 15) << 8,
                packed[i + 1] >> 4 | packed[i + 2] << 4,
            )
        ]
        assert codes == [sign_bit << 11 | code for code in range(len(values))]
        assert same_bits(from_e5m6(to_e5m6(signed), signed.shape), signed)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_e5m6_takes_twelve_bits_a_number(count: int) -> None:
    x = drawn(count)
    packed = to_e5m6(x)
    assert packed.dtype == torch.uint8
    assert packed.numel() == math.ceil(count * 12 / 8)
    assert same_bits(from_e5m6(packed, x.shape), round_e5m6(x))


def _midpoints(name: str) -> Tensor:
    """Every number of a format, every midpoint of two neighbours, and FP32's neighbours of both."""
    values = FORMATS[name][1]
    exact = [float(v) for v in values] + [float((a + b) / 2) for a, b in itertools.pairwise(values)]
    middle = torch.tensor(exact)
    far = torch.full_like(middle, math.inf)
    around = torch.cat((middle, torch.nextafter(middle, far), torch.nextafter(middle, -far)))
    return torch.cat((around, -around))


@pytest.mark.parametrize("name", ["e4m3", "e5m6"])
def test_rounding_of_every_tie_and_its_neighbours(name: str) -> None:
    x = _midpoints(name)
    got = from_e4m3(to_e4m3(x)) if name == "e4m3" else round_e5m6(x)
    expected = torch.tensor([oracle.rounded(v, FORMATS[name][1]) for v in x.tolist()])
    assert same_bits(got, expected)


@settings(deadline=None, max_examples=100)
@given(x=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_rounding_of_any_number(x: float) -> None:
    tensor = torch.tensor([x])
    for name, got in (("e4m3", from_e4m3(to_e4m3(tensor))), ("e5m6", round_e5m6(tensor))):
        assert same_bits(got, torch.tensor([oracle.rounded(x, FORMATS[name][1])]))


def adversarial() -> dict[str, Tensor]:
    outlier = 1e-3 * drawn(3, 300, seed=1)
    outlier[1, 130] = 3e4
    wide = drawn(4, 260, seed=2) * torch.logspace(-30, 30, 260)
    signs = torch.zeros(2, 140)
    signs[0, ::2] = -0.0
    signs[1, 139] = -1.0
    ties = torch.tensor([[448.0, 17.0, 19.0, -17.0, 2.0**-10, 3 * 2.0**-10, -(2.0**-10), 216.0]])
    return {
        "zeros": torch.zeros(2, 200),
        "negative zeros": signs,
        "one outlier": outlier,
        "denormals": drawn(3, 129, seed=3) * 2.0**-140,
        "smallest denormal": torch.full((1, 3), 2.0**-149),
        "huge": drawn(2, 257, seed=4).sign() * 3e38,
        "wide": wide,
        "ties": ties,
        "one number": torch.tensor([[-5.5]]),
        "column": drawn(257, 1, seed=5),
        "ragged rows": drawn(131, 9, seed=6),
        "ragged columns": drawn(3, 387, seed=7),
    }


@pytest.mark.parametrize("power_of_two", [False, True])
@pytest.mark.parametrize("name", ["e4m3", "e5m6"])
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("case", sorted(adversarial()))
def test_quantiser_is_the_plain_one(case: str, tile: str, name: str, power_of_two: bool) -> None:
    x = adversarial()[case]
    format, values = FORMATS[name]
    got = quantise(x, TILES[tile], format, power_of_two=power_of_two)
    grid, scales = oracle.quantised(x.numpy(), TILES[tile], values, power_of_two)
    assert same_bits(got.scales, torch.from_numpy(scales))
    assert same_bits(got.grid, torch.from_numpy(grid))
    rows, columns = TILES[tile]
    spread = np.repeat(np.repeat(scales, rows, 0), columns, 1)[: x.shape[0], : x.shape[1]]
    assert same_bits(got.dequantise(), torch.from_numpy(grid * spread))


def test_a_stack_is_quantised_matrix_by_matrix() -> None:
    x = drawn(2, 3, 130, 140)
    whole = quantise(x, BLOCK)
    for i in range(2):
        for j in range(3):
            alone = quantise(x[i, j], BLOCK)
            part = whole[i, j]
            assert torch.equal(part.scales, alone.scales)
            assert same_bits(part.dequantise(), alone.dequantise())
            assert same_bits(whole.dequantise()[i, j], alone.dequantise())


@pytest.mark.parametrize("shape", [(0, 5), (0, 256)])
def test_no_rows(shape: tuple[int, int]) -> None:
    for tile in TILES.values():
        assert quantise(torch.zeros(shape), tile).dequantise().shape == shape


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_so_and_in_its_tile(bad: float) -> None:
    x = drawn(2, 300)
    x[0, 140] = bad
    for format in (E4M3, E5M6):
        for power_of_two in (False, True):
            back = quantise(x, ALONG_ROW, format, power_of_two=power_of_two).dequantise()
            assert not back[0, 140].isfinite()
            assert back[0, :128].isfinite().all()
            assert back[0, 256:].isfinite().all()
            assert back[1].isfinite().all()


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 140),
    columns=st.integers(1, 140),
    exponent=st.integers(-60, 60),
    power_of_two=st.booleans(),
)
def test_relative_error_is_bounded(
    seed: int, rows: int, columns: int, exponent: int, power_of_two: bool
) -> None:
    """Half a unit of the last place of normal numbers, half the smallest subnormal below them."""
    x = drawn(rows, columns, seed=seed).pow(3) * 2.0**exponent
    for tile in TILES.values():
        for format, half_unit, smallest in ((E4M3, 2.0**-4, 2.0**-9), (E5M6, 2.0**-7, 2.0**-20)):
            q = quantise(x, tile, format, power_of_two=power_of_two)
            scale = _spread(q)
            bound = torch.maximum(half_unit * x.abs(), smallest / 2 * scale)
            # A quotient in FP32 may lie on the other side of a tie: a part in 2^22 more.
            assert (q.dequantise() - x).abs().le(bound * (1 + 2.0**-20)).all()


def _spread(q: module.Quantised) -> Tensor:
    rows, columns = q.tile
    return q.scales.repeat_interleave(rows, 0).repeat_interleave(columns, 1)[: q.shape[0], : q.shape[1]]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), exponent=st.integers(-40, 40))
def test_powers_of_two_survive_another_pass_and_another_tiling(seed: int, exponent: int) -> None:
    """Power-of-two scales: quantising again changes nothing, and tiling along the other axis rounds only
    numbers that are small beside their new tile's largest; plain scales promise neither."""
    x = drawn(128, 128, seed=seed) * 2.0**exponent
    once = quantise(x, ALONG_ROW, power_of_two=True).dequantise()
    assert same_bits(quantise(once, ALONG_ROW, power_of_two=True).dequantise(), once)
    again = quantise(once, ALONG_COLUMN, power_of_two=True)
    normal = again.grid.abs() > 2.0**-6  # 2^-6 itself may have been rounded up to
    assert normal.float().mean() > 0.9
    assert torch.equal(again.dequantise()[normal], once[normal])
    plain = quantise(x, ALONG_ROW).dequantise()
    assert not torch.equal(quantise(plain, ALONG_COLUMN).dequantise(), plain)


@given(scale=st.integers(-126, 100), format=st.sampled_from([E4M3, E5M6]))
def test_power_of_two_scales_are_exact_at_their_edges(scale: int, format: Format) -> None:
    edge = torch.tensor(format.largest * 2.0**scale)
    above = torch.nextafter(edge, torch.tensor(math.inf))
    below = torch.nextafter(edge, torch.tensor(0.0))
    got = module.scales_of(torch.stack((below, edge, above)), format, power_of_two=True).tolist()
    assert got == [2.0**scale, 2.0**scale, 2.0 ** (scale + 1)]


def test_sizes_in_memory() -> None:
    x = drawn(256, 256)
    assert quantise(x).nbytes == 256 * 256 + 4 * 256 * 2
    assert quantise(x, BLOCK).nbytes == 256 * 256 + 4 * 4
    assert quantise(x, ALONG_ROW, E5M6).nbytes == 256 * 256 * 3 // 2 + 4 * 256 * 2


def test_dispatched_rows_arrive_as_they_were_quantised() -> None:
    x = drawn(7, 200)
    codes, scales = dispatch_payload(x)
    assert codes.dtype == torch.uint8
    assert torch.equal(scales, torch.exp2(scales.log2().round()))
    order = torch.tensor([6, 0, 0, 3])
    arrived = received(codes[order], scales[order]).dequantise()
    assert same_bits(arrived, quantise(x[order], power_of_two=True).dequantise())
    assert combine_payload(x).dtype == torch.bfloat16


def test_only_what_has_a_transpose_is_transposed() -> None:
    x = drawn(130, 257)
    assert same_bits(quantise(x, ALONG_COLUMN).t().dequantise(), quantise(x.t(), ALONG_ROW).dequantise())
    assert same_bits(quantise(x, BLOCK).t().dequantise(), quantise(x.t(), BLOCK).dequantise())
    with pytest.raises(ValueError, match="E4M3"):
        quantise(x, ALONG_ROW, E5M6).t()
    with pytest.raises(ValueError, match="several rows"):
        quantise(x, BLOCK).rows(slice(0, 2))
