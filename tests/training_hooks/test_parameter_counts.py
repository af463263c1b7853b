"""Counts of the presets, against sums written out from the report's sizes."""

from __future__ import annotations

import pytest
import torch

from corpusmill.training_hooks.model.config import PRESET_NAMES, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.parameter_counts import parameter_counts
from corpusmill.training_hooks.model.transformer import Transformer


def test_the_released_model_has_671_billion_and_uses_37() -> None:
    width, heads = 7168, 128
    attention = (
        width * 1536 + 1536  # query latent and its norm
        + 1536 * heads * (128 + 64)
        + width * (512 + 64) + 512  # key-value latent, rotary key, norm
        + 512 * heads * (128 + 128)
        + heads * 128 * width
    )  # fmt: skip
    norms = 2 * width
    expert, router = 3 * width * 2048, 256 * width
    dense_layer = attention + norms + 3 * width * 18432
    mixture_layer = attention + norms + router + 257 * expert
    embedding = 129280 * width
    body = 3 * dense_layer + 58 * mixture_layer + width
    idle = 58 * 248 * expert
    joint = 2 * width * width + 3 * width  # projection, two norms before it and one at the end

    counts = parameter_counts(preset("v3-671b", 129280))
    assert counts.total == body + 2 * embedding
    assert counts.active == body - idle + embedding
    assert (counts.embedding, counts.head) == (embedding, embedding)
    assert counts.mtp_blocks == mixture_layer
    assert counts.mtp_unique == mixture_layer + joint
    assert counts.mtp_active == mixture_layer - 248 * expert + joint + embedding

    # As published: 671B in all, 37B active, 11.5B in the MTP block, 0.9B each for embedding and head.
    assert counts.total == pytest.approx(671.0e9, rel=1e-4)
    assert round(counts.active / 1e9) == 37
    assert round(counts.mtp_blocks / 1e9, 1) == 11.5
    assert round(counts.embedding / 1e9, 1) == round(counts.head / 1e9, 1) == 0.9


def test_small_presets_have_the_sizes_they_promise() -> None:
    main = {name: parameter_counts(preset(name, 1000)) for name in PRESET_NAMES}
    assert 0.8e6 < main["v3-tiny"].total - main["v3-tiny"].embedding - main["v3-tiny"].head < 1.2e6
    assert 8e6 < main["v3-mini"].total - main["v3-mini"].embedding - main["v3-mini"].head < 12e6
    for vocabulary in (1000, 65536):
        assert 100e6 < parameter_counts(preset("v3-small", vocabulary)).total < 300e6
    assert main["v3-small"].active < 0.25 * main["v3-small"].total


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_counts_are_those_of_a_model_without_memory(name: str) -> None:
    config = preset(name, 129280)
    with torch.device("meta"):
        model = Transformer(config)
    counts = parameter_counts(config)
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    assert counts.total + counts.mtp_unique == count(model)
    assert counts.mtp_unique == count(model.mtp)
    assert counts.mtp_blocks == sum(count(module.block) for module in model.mtp)
    assert (counts.embedding, counts.head) == (count(model.embed_tokens), count(model.lm_head))


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_counts_are_those_of_a_model_with_memory(depth: int) -> None:
    config = preset("v3-tiny", 300, depth)
    model = Transformer(config)
    initialise(model, 1, 0.1)
    counts = parameter_counts(config)
    assert counts.total + counts.mtp_unique == sum(p.numel() for p in model.parameters())
    assert counts.mtp_unique == sum(p.numel() for p in model.mtp.parameters())
    assert (counts.mtp_active > 0) == (depth > 0)
    routed = 2 * 6 * 3 * 128 * 96  # two mixture layers, six of eight experts idle
    assert counts.active == counts.total - counts.embedding - routed
