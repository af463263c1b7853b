"""Decoding from the latent cache: the same as whole passes, in both forms of attention."""

from __future__ import annotations

import pytest
import torch

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.inference import latent_cache
from corpusmill.training_hooks.inference.absorbed import (
    Form,
    Places,
    absorbed_heads,
    attend,
    cheaper_form,
    expanded_heads,
    latents,
    queries,
)
from corpusmill.training_hooks.inference.decode import Decoder, padded
from corpusmill.training_hooks.inference.latent_cache import LatentCache, cache_bytes
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.transformer import Transformer
from tests.oracles import training_model as oracle
from tests.oracles.training_inference import CONFIGS, TINY, prompts_of, random_model, tokens_of

TOLERANCE = 1e-5
FORMS: tuple[Form | None, ...] = (None, "absorbed", "expanded")


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Transformer:
    return random_model(CONFIGS[request.param])


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_every_step_equals_the_whole_pass(model: Transformer, form: Form | None) -> None:
    tokens = tokens_of(2, 40)
    whole = model.logits(tokens)
    decoder = Decoder(model, 2, 40, form)
    parts = [13, 2, 1, 5, *[1] * 19]
    steps = [decoder.logits(decoder.feed(part)) for part in torch.split(tokens, parts, dim=1)]
    scale = max(1.0, float(whole.abs().max()))
    assert float((torch.cat(steps, 1) - whole).abs().max()) <= TOLERANCE * scale
    assert decoder.cached.lengths == [40, 40]


@torch.no_grad()
def test_room_grows_and_keeps_what_is_there(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_cache, "FIRST_ROOM", 4)
    tokens = tokens_of(2, 40)
    whole = model.logits(tokens)
    decoder = Decoder(model, 2, 40)
    cache = decoder.cached.cache
    steps, rooms = [], [cache.room]
    for part in torch.split(tokens, [3, 1, 1, *[1] * 20, 15], dim=1):
        steps.append(decoder.logits(decoder.feed(part)))
        rooms.append(cache.room)
    scale = max(1.0, float(whole.abs().max()))
    assert float((torch.cat(steps, 1) - whole).abs().max()) <= TOLERANCE * scale
    assert sorted(set(rooms)) == [4, 8, 16, 32, 40]
    assert cache.most_places == 2 * 40
    with pytest.raises(ValueError, match="holds 40 tokens, 41 needed"):
        decoder.feed(tokens[:, :1])


@torch.no_grad()
def test_rows_of_different_lengths_do_not_see_one_another_or_their_padding(model: Transformer) -> None:
    prompts = prompts_of(3, 17, 8)
    more = tokens_of(3, 6, seed=8)
    decoder = Decoder(model, 3, 32)
    decoder.feed(padded(prompts), [3, 17, 8])
    found = [decoder.logits(decoder.feed(more[:, t : t + 1])) for t in range(4)]
    found.append(decoder.logits(decoder.feed(more[:, 4:])))
    for row, prompt in enumerate(prompts):
        whole = model.logits(torch.tensor([[*prompt, *more[row].tolist()]]))[0, len(prompt) :]
        scale = max(1.0, float(whole.abs().max()))
        assert float((torch.cat(found, 1)[row] - whole).abs().max()) <= TOLERANCE * scale


@torch.no_grad()
def test_rows_can_be_cut_back_and_dropped(model: Transformer) -> None:
    prompts = prompts_of(5, 9, 7)
    decoder = Decoder(model, 3, 24)
    decoder.feed(padded(prompts), [5, 9, 7])
    decoder.feed(tokens_of(3, 4))  # refused
    decoder.cached.lengths = [4, 9, 6]
    decoder.cached.cache.keep([2, 0])
    more = tokens_of(2, 5, seed=6)
    found = decoder.logits(decoder.feed(more))
    for row, prompt in enumerate([prompts[2][:6], prompts[0][:4]]):
        whole = model.logits(torch.tensor([[*prompt, *more[row].tolist()]]))[0, len(prompt) :]
        scale = max(1.0, float(whole.abs().max()))
        assert float((found[row] - whole).abs().max()) <= TOLERANCE * scale


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_attention_equals_the_equations_token_by_token(model: Transformer, form: Form | None) -> None:
    """Both forms against loops over heads and positions, which know of no cache."""
    config = model.config
    if config.rope_scaling is not None and config.rope_scaling.mscale_all_dim is None:
        config = config.with_rope_scaling(None)  # the loops do not sharpen the rotary part
        model = random_model(config)
    layer = model.layers[0].self_attn
    assert isinstance(layer, MultiHeadLatentAttention)
    x_TD = torch.randn(9, config.hidden_size, generator=torch.Generator().manual_seed(2))
    expected = oracle.attention(layer, x_TD, config.rope_theta, config.rope_scaling)
    cos, sin = model.rotations(9)
    places = Places.at(torch.arange(9)[None], cos, sin)
    held = latents(layer, x_TD[None], places)
    assert held.shape == (1, 9, config.kv_lora_rank + config.qk_rope_head_dim)
    found = attend(layer, queries(layer, x_TD[None], places), held, places.visible, form)[0]
    assert float((found - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))


@torch.no_grad()
def test_the_two_forms_agree_and_differ_in_more_than_name(model: Transformer) -> None:
    layer = model.layers[1].self_attn
    assert isinstance(layer, MultiHeadLatentAttention)
    draws = torch.Generator().manual_seed(4)
    width = layer.content + layer.rotary
    q = torch.randn(2, layer.heads, 5, width, generator=draws)
    held = torch.randn(2, 12, layer.latent + layer.rotary, generator=draws)
    visible = torch.arange(12) <= torch.tensor([[3, 4, 5, 6, 7], [7, 8, 9, 10, 11]])[..., None]
    absorbed = absorbed_heads(layer, q, held, visible)
    expanded = expanded_heads(layer, q, held, visible)
    assert absorbed.shape == expanded.shape == (2, layer.heads, 5, layer.value)
    assert float((absorbed - expanded).abs().max()) <= 1e-5 * float(expanded.abs().max())
    unmasked = absorbed_heads(layer, q, held, torch.ones_like(visible))
    assert float((absorbed - unmasked).abs().max()) > 1e-2


def test_the_form_follows_the_count_of_multiplications() -> None:
    config = preset("v3-671b", 1024)
    with torch.device("meta"):
        layer = MultiHeadLatentAttention(config)
    assert cheaper_form(layer, 1, 4096) == "absorbed"
    assert cheaper_form(layer, 4096, 4096) == "expanded"


def test_bytes_of_a_token() -> None:
    """DeepSeek-V3 in BF16: 576 numbers a layer for all heads, against 320 for each of 128."""
    found = cache_bytes(preset("v3-671b", 129280), 61, 2)
    assert (found.latent, found.expanded) == (70_272, 4_997_120)
    assert round(found.ratio, 1) == 71.1
    model = random_model(TINY)
    cache = Decoder(model, 3, 50).cached.cache.latents_NBSX
    assert cache.nbytes == 3 * 50 * cache_bytes(TINY, 2).latent


def test_the_cache_says_when_it_is_full_or_asked_for_what_it_lacks() -> None:
    model = random_model(TINY)
    decoder = Decoder(model, 1, 8)
    decoder.feed(tokens_of(1, 6))
    with pytest.raises(ValueError, match="holds 8 tokens, 9 needed"):
        decoder.feed(tokens_of(1, 3))
    with pytest.raises(ValueError, match=r"rows of \[6\] tokens cannot be cut to \[7\]"):
        decoder.cached.lengths = [7]
    assert LatentCache(TINY, 1, 1, 4, model.embed_tokens.weight).positions(2).tolist() == [[0, 1]]


def test_a_cache_without_memory_for_it_names_its_size() -> None:
    with pytest.raises(UserError, match=r"512 tokens in each of 3 rows, .* GiB"):
        LatentCache(TINY, 10**9, 3, 600, torch.zeros(1))
