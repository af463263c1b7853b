"""Sums in FP64 (`sums: fp64`): a training gives the same bits however its rows are divided."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from corpusmill.training_hooks.distributed.part import Part
from corpusmill.training_hooks.distributed.stages import Pipeline
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.recompute import recompute
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.model.wide_sums import is_wide, of_rows, silu, widen
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer.optimiser import adamw
from corpusmill.training_hooks.trainer.step import Batch, Settings, gradients, training_step
from corpusmill.training_hooks.trainer.stop import StopRequest

PAD = 2
ROWS, LENGTH = 6, 15  # odd sizes: rests behind vectors
CONFIG = dataclasses.replace(
    preset("v3-tiny", 90, 1), hidden_size=40, num_hidden_layers=2, intermediate_size=72, q_lora_rank=24,
    kv_lora_rank=16, qk_nope_head_dim=12, qk_rope_head_dim=4, v_head_dim=8, moe_intermediate_size=20,
)  # fmt: skip


def model(*, wide: bool) -> Transformer:
    made = Transformer(CONFIG)
    initialise(made, 4, 0.05)
    if wide:
        widen(made)
    return made


def batch(step: int = 0) -> Batch:
    draws = np.random.default_rng(step)
    tokens = draws.integers(3, CONFIG.vocab_size, (ROWS, LENGTH + 2))
    tokens[4, 9:] = PAD
    return Batch(tokens, np.zeros_like(tokens), PAD)


def settings(micro_batch: int) -> Settings:
    return Settings(0.01, 0.02, 0.3, 1e-3, micro_batch, "fp32")


def trained(micro_batch: int, *, wide: bool, again: bool = False) -> dict[str, Tensor]:
    """Weights after four steps; `again`: with recomputation."""
    one = model(wide=wide)
    if again:
        recompute(one)
    optimiser = adamw(one)
    for step in range(4):
        training_step(one, optimiser, batch(step), settings(micro_batch), sources=1, stop=StopRequest())
    return one.state_dict()


def differing(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> int:
    return sum(int((found[name] != wanted[name]).sum()) for name in wanted)


def test_micro_batches_give_the_same_bits() -> None:
    wanted = trained(ROWS, wide=True)
    for micro_batch in (1, 2, 4):
        assert differing(trained(micro_batch, wide=True), wanted) <= 2
    assert differing(trained(2, wide=True, again=True), wanted) <= 2
    plain = trained(ROWS, wide=False)
    assert differing(trained(1, wide=False), plain) > 1000
    for name in ("lm_head.weight", "embed_tokens.weight", "layers.1.mlp.experts.gate_up_proj"):
        torch.testing.assert_close(wanted[name], plain[name], rtol=1e-3, atol=1e-4)


def test_gradients_are_those_of_fp32_to_its_rounding() -> None:
    found = {}
    for wide in (False, True):
        one = model(wide=wide)
        gradients(one, adamw(one), batch(), settings(4), sources=1, stop=StopRequest())
        found[wide] = {name: p.grad for name, p in one.named_parameters()}
    for name, narrow in found[False].items():
        wide_one = found[True][name]
        assert narrow is not None
        assert wide_one is not None
        assert (narrow.dtype, wide_one.dtype) == (torch.float32, torch.float64)
        assert float((narrow - wide_one).norm()) <= 2e-6 * float(wide_one.norm()), name
        assert int((wide_one != wide_one.float()).sum()) > 0, name


def test_a_row_has_the_same_bits_beside_any_others() -> None:
    draws = torch.Generator().manual_seed(1)
    for inputs, outputs in ((40, 72), (64, 8), (256, 90)):
        x_NI, weight_IO = (torch.randn(n, m, generator=draws) for n, m in ((70, inputs), (inputs, outputs)))
        whole = of_rows(x_NI, weight_IO)
        for rows in (1, 2, 3, 4, 5, 7, 16, 17, 33, 69):
            for start in (0, 70 - rows):
                assert torch.equal(
                    of_rows(x_NI[start : start + rows], weight_IO), whole[start : start + rows]
                )


def test_an_activation_has_the_same_bits_beside_any_others() -> None:
    """In a tensor of even or odd rows, whole or shared out to threads in any way."""
    x_NF = torch.randn(511, 96, generator=torch.Generator().manual_seed(1))
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            for rows in (1, 2, 73, 510):
                parts = torch.cat([silu(x_MF, True) for x_MF in x_NF.split(rows)])
                assert torch.equal(silu(x_NF, True), parts), (threads, rows)
    finally:
        torch.set_num_threads(before)


def test_parts_are_wide_too_and_options_that_are_not_there_are_refused() -> None:
    pipeline = Pipeline(CONFIG, "dualpipe", 2)
    part = Part(CONFIG, pipeline.of_rank(0))
    initialise(part, 1, 0.02)
    ready = Train(sums="fp64")._ready(part)
    assert all(is_wide(parameter) for parameter in ready.parameters())
    for other in ({"precision": "bf16"}, {"device": "cuda"}):
        with pytest.raises(ValidationError, match="sums: fp64 is there with `precision: fp32`"):
            Train(sums="fp64", **other)
