"""Exported models in transformers: the same logits, the same continuations, the same drafts."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.training_hooks.export.hugging_face import export_hugging_face
from corpusmill.training_hooks.export.import_hugging_face import import_hugging_face
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.gate import choose_experts
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.rope import rope_frequencies, rotation_table
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.model.yarn import YarnScaling
from tests.oracles import training_model as oracle

if importlib.util.find_spec("transformers") is None:
    pytest.skip("compares with transformers, of the dev extra", allow_module_level=True)


class Lazy:
    """A module that is imported when it is first used: all processes of the suite collect this file, one runs
    it. Reached by name: the package's own annotations would bind these tests to one of its versions."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest looks into whatever a file names for a wrapped fixture
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)


deepseek = Lazy("transformers.models.deepseek_v3.modeling_deepseek_v3")
layers = Lazy("transformers.modeling_layers")
transformers = Lazy("transformers")

VOCABULARY = 512
TINY = preset("v3-tiny", VOCABULARY)
GROUPS = dataclasses.replace(preset("v3-mini", VOCABULARY, 2), num_hidden_layers=3)
assert (GROUPS.n_group, GROUPS.topk_group) == (4, 2)
CONFIGS = {
    "tiny": TINY,
    "tiny with yarn": TINY.with_rope_scaling(YarnScaling(8.0, 32)),
    "groups": GROUPS,
    "groups with yarn": GROUPS.with_rope_scaling(YarnScaling(4.0, 32, 16.0, 2.0, 0.7, 1.2)),
    "rotary part sharpened": GROUPS.with_rope_scaling(YarnScaling(40.0, 4096, mscale_all_dim=None)),
    "other epsilon": dataclasses.replace(TINY, rms_norm_eps=1e-2, rope_theta=500.0),
}


class Pair(NamedTuple):
    ours: Transformer
    theirs: Any
    folder: Path
    loading: dict[str, Any]


def started(config: ModelConfig) -> Transformer:
    """Random weights, norms and routing biases: a model none of whose parts may be mistaken for another."""
    model = Transformer(config)
    initialise(model, 1, config.initial_std)
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=draws))
        for gate in model.gates():
            gate.e_score_correction_bias.normal_(std=0.3, generator=draws)
    return model


def tokens_of(rows: int, length: int, seed: int = 3) -> Tensor:
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    torch.set_num_threads(1)
    model = started(CONFIGS[request.param])
    folder = tmp_path_factory.mktemp("export") / "model"
    export_hugging_face(model, folder)
    with pytest.MonkeyPatch.context() as patch:
        # transformers knows an MTP layer by the number it has in the released model, 61. Told ours, it
        # neither reports these weights as strange nor overlooks them when it drafts.
        ahead = [rf"model\.layers\.{model.config.num_hidden_layers + d}\." for d in range(len(model.mtp))]
        patch.setattr(transformers.DeepseekV3ForCausalLM, "_keys_to_ignore_on_load_unexpected", ahead)
        theirs, loading = transformers.DeepseekV3ForCausalLM.from_pretrained(folder, output_loading_info=True)
        yield Pair(model, theirs.eval(), folder, loading)


@torch.no_grad()
def greedy(model: Transformer, prompt_BT: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        prompt_BT = torch.cat((prompt_BT, model.logits(prompt_BT)[:, -1:].argmax(-1)), dim=1)
    return prompt_BT


@torch.no_grad()
def test_logits_are_equal(pair: Pair) -> None:
    """At most 1e-5 apart in FP32 where logits reach 2, over 128 tokens, four times YaRN's first context."""
    assert not pair.loading["missing_keys"]
    assert not pair.loading["unexpected_keys"]
    assert not pair.loading["mismatched_keys"]
    tokens = tokens_of(3, 128)
    ours, theirs = pair.ours.logits(tokens), pair.theirs(tokens).logits
    assert float((ours - theirs).abs().max()) <= 1e-5
    assert float(theirs.abs().max()) > 1
    # and the comparison would notice: the bias is at work, and so is YaRN
    blind = import_hugging_face(pair.folder)
    for gate in blind.gates():
        gate.e_score_correction_bias.zero_()
    assert float((blind.logits(tokens) - theirs).abs().max()) > 1e-2
    if pair.ours.config.rope_scaling is not None:
        short = import_hugging_face(pair.folder)
        short.set_rope_scaling(None)
        assert float((short.logits(tokens) - theirs).abs().max()) > 1e-3


@torch.no_grad()
def test_continuations_are_equal(pair: Pair) -> None:
    """Its `generate`, with a cache and with MTP drafts, against whole passes of ours without either."""
    prompt = tokens_of(1, 24, seed=11)  # YaRN has a first context of 32
    expected = greedy(pair.ours, prompt, 12)
    assert len(set(expected[0, 24:].tolist())) > 2
    options = {"max_new_tokens": 12, "do_sample": False}
    assert torch.equal(pair.theirs.generate(prompt, **options), expected)
    assert torch.equal(pair.theirs.generate(prompt, use_mtp=True, **options), expected)


@torch.no_grad()
def test_mtp_logits_are_equal(pair: Pair) -> None:
    """Every depth at every position: order of the halves, norms, and what is handed from depth to depth."""
    mtp = layers.MtpModel.from_pretrained(pair.theirs).eval()
    depths = len(pair.ours.mtp)
    tokens = tokens_of(2, 40 + 1 + depths)
    hidden = pair.ours(tokens, torch.ones_like(tokens, dtype=torch.bool)).hidden
    passed = pair.theirs.model(tokens[:, :40]).last_hidden_state
    for depth in range(1, depths + 1):
        ahead, positions = tokens[:, depth : depth + 40], torch.arange(depth, depth + 40)[None]
        passed = mtp.forward_layer(depth - 1, passed, positions, None, input_ids=ahead)
        theirs = functional.linear(passed, pair.theirs.lm_head.weight)
        ours = functional.linear(hidden[depth], pair.ours.lm_head.weight)
        assert float((ours - theirs).abs().max()) <= 1e-5
        assert float(theirs.abs().max()) > 1


def test_what_it_saves_can_be_imported(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Main model and configuration come back bit for bit; its folder has no MTP weights."""
    monkeypatch.setattr(pair.theirs.config, "dtype", torch.float32)  # saving leaves a string in its place
    pair.theirs.save_pretrained(tmp_path)
    back = import_hugging_face(tmp_path, mtp=False)
    assert back.config == dataclasses.replace(
        pair.ours.config, num_nextn_predict_layers=0, initializer_range=pair.ours.config.initial_std
    )
    ours = pair.ours.state_dict()
    assert all(torch.equal(tensor, ours[key]) for key, tensor in back.state_dict().items())


@pytest.mark.parametrize(
    "scaling",
    [None, YarnScaling(40.0, 4096), YarnScaling(8.0, 8192, 20.0, 2.0, 0.7, None), YarnScaling(2.0, 64)],
)
def test_rotations_are_bit_equal_to_the_last_position(scaling: YarnScaling | None) -> None:
    config = preset("v3-671b", VOCABULARY).with_rope_scaling(scaling)
    fields = config.to_json()
    fields.pop("architectures")
    theirs = deepseek.DeepseekV3RotaryEmbedding(transformers.DeepseekV3Config(**fields))
    positions = torch.cat((torch.arange(5000), torch.arange(0, config.max_position_embeddings, 997)))
    cos, sin = theirs(torch.empty(1), positions[None])
    frequencies = rope_frequencies(config.qk_rope_head_dim, config.rope_theta, scaling)
    factor = 1.0 if scaling is None else scaling.rotary_factor
    for ours, other in zip(rotation_table(frequencies, positions, factor), (cos, sin), strict=True):
        assert torch.equal(ours, other[0, :, :32])
    attention = deepseek.yarn_apply_mscale(theirs.config.rope_parameters, config.qk_head_dim**-0.5)
    assert config.softmax_scale == pytest.approx(attention, rel=1e-12)


def test_equal_affinities_go_to_the_same_experts() -> None:
    """Ties, which a saturated sigmoid makes: both keep one set, and it is one that the definition allows."""
    config = preset("v3-mini", VOCABULARY)
    fields = config.to_json()
    fields.pop("architectures")
    router = deepseek.DeepseekV3TopkRouter(transformers.DeepseekV3Config(**fields))
    draws = torch.Generator().manual_seed(1)
    tied = 0
    for _ in range(20):
        bias = torch.randint(-2, 3, (config.n_routed_experts,), generator=draws) / 4
        router.e_score_correction_bias.copy_(bias)
        torch.nn.init.zeros_(router.weight)
        x_ND = torch.zeros(1, config.hidden_size)
        biased = 0.5 + bias
        theirs = sorted(router(x_ND)[2][0].tolist())
        ours = sorted(choose_experts(biased[None], 4, 4, 2)[0].tolist())
        assert ours == theirs
        assert oracle.may_be_chosen(biased.tolist(), ours, 4, 4, 2)
        tied += len(set(biased.tolist())) < config.n_routed_experts
    assert tied == 20


def test_tokenizer_travels_along(tmp_path: Path) -> None:
    """transformers opens model and tokenizer from one folder, and stops where the tokenizer says."""
    tokenizers: Any = importlib.import_module("tokenizers")
    source = tmp_path / "tokenizer"
    source.mkdir()
    vocabulary = {f"<{number}>": number for number in range(VOCABULARY)}
    built = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<1>"))
    built.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    built.add_special_tokens(["<5>", "<7>"])
    built.save(str(source / "tokenizer.json"))
    model = started(TINY)
    prompt = tokens_of(1, 10)
    third = int(greedy(model, prompt, 3)[0, -1])  # named eos below: generation must end with it
    (source / "tokenizer_config.json").write_text(
        f'{{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<5>", "eos_token": "<{third}>"}}'
    )
    export_hugging_face(model, tmp_path / "model", tokenizer=source)
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert opened("<5> <300> <7>")["input_ids"] == [5, 300, 7]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    assert (theirs.config.bos_token_id, theirs.config.eos_token_id) == (5, third)
    produced = theirs.generate(prompt, max_new_tokens=24, do_sample=False)[0, 10:].tolist()
    assert len(produced) <= 3
    assert produced[-1] == third
