"""The files of an export, and what import makes of whole and of broken ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.training_hooks.export import hugging_face
from corpusmill.training_hooks.export.hugging_face import export_hugging_face
from corpusmill.training_hooks.export.import_hugging_face import import_hugging_face
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.model.yarn import YarnScaling

SMALL = ModelConfig(
    vocab_size=11,
    hidden_size=6,
    num_hidden_layers=2,
    first_k_dense_replace=1,
    intermediate_size=8,
    num_attention_heads=2,
    q_lora_rank=5,
    kv_lora_rank=3,
    qk_nope_head_dim=4,
    qk_rope_head_dim=2,
    v_head_dim=7,
    n_routed_experts=3,
    n_shared_experts=2,
    num_experts_per_tok=2,
    moe_intermediate_size=9,
    initializer_range=0.4,
)
ATTENTION = {
    "self_attn.q_a_proj.weight": [5, 6],
    "self_attn.q_a_layernorm.weight": [5],
    "self_attn.q_b_proj.weight": [12, 5],
    "self_attn.kv_a_proj_with_mqa.weight": [5, 6],
    "self_attn.kv_a_layernorm.weight": [3],
    "self_attn.kv_b_proj.weight": [22, 3],
    "self_attn.o_proj.weight": [6, 14],
    "input_layernorm.weight": [6],
    "post_attention_layernorm.weight": [6],
}
DENSE = {"mlp.gate_proj.weight": [8, 6], "mlp.up_proj.weight": [8, 6], "mlp.down_proj.weight": [6, 8]}
MIXTURE = {
    "mlp.gate.weight": [3, 6],
    "mlp.gate.e_score_correction_bias": [3],
    "mlp.shared_experts.gate_proj.weight": [18, 6],
    "mlp.shared_experts.up_proj.weight": [18, 6],
    "mlp.shared_experts.down_proj.weight": [6, 18],
} | {
    f"mlp.experts.{e}.{name}.weight": shape
    for e in range(3)
    for name, shape in (("gate_proj", [9, 6]), ("up_proj", [9, 6]), ("down_proj", [6, 9]))
}
AHEAD = {
    "embed_tokens.weight": [11, 6],
    "enorm.weight": [6],
    "hnorm.weight": [6],
    "eh_proj.weight": [6, 12],
    "shared_head.norm.weight": [6],
    "shared_head.head.weight": [11, 6],
}
RELEASED = (
    {"model.embed_tokens.weight": [11, 6], "model.norm.weight": [6], "lm_head.weight": [11, 6]}
    | {f"model.layers.0.{name}": shape for name, shape in (ATTENTION | DENSE).items()}
    | {f"model.layers.1.{name}": shape for name, shape in (ATTENTION | MIXTURE).items()}
    | {f"model.layers.2.{name}": shape for name, shape in (ATTENTION | MIXTURE | AHEAD).items()}
)


def started(config: ModelConfig = SMALL) -> Transformer:
    model = Transformer(config)
    initialise(model, 1, 0.4)
    draws = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for gate in model.gates():
            gate.e_score_correction_bias.normal_(generator=draws)
    return model


def same(one: Transformer, other: Transformer) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def changed(folder: Path, **tensors: Tensor | None) -> None:
    """Replace tensors of a whole export by name (`__` for a dot), or remove them."""
    path = folder / "model.safetensors"
    held: dict[str, Tensor | None] = {
        **load_file(path),
        **{k.replace("__", "."): v for k, v in tensors.items()},
    }
    save_file({name: tensor for name, tensor in held.items() if tensor is not None}, path)


def changed_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_names_and_shapes_are_the_released_ones(tmp_path: Path) -> None:
    export_hugging_face(started(), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    held = load_file(tmp_path / "out" / "model.safetensors")
    assert {name: list(tensor.shape) for name, tensor in held.items()} == RELEASED
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["DeepseekV3ForCausalLM"]
    assert config["num_nextn_predict_layers"] == 1
    assert config["torch_dtype"] == "float32"
    assert config["eos_token_id"] is None


def test_every_part_is_where_the_released_files_have_it(tmp_path: Path) -> None:
    model = started()
    export_hugging_face(model, tmp_path / "out")
    held = load_file(tmp_path / "out" / "model.safetensors")
    ours = model.state_dict()
    stacked = ours["layers.1.mlp.experts.gate_up_proj"]
    assert torch.equal(held["model.layers.1.mlp.experts.2.gate_proj.weight"], stacked[2, :9])
    assert torch.equal(held["model.layers.1.mlp.experts.2.up_proj.weight"], stacked[2, 9:])
    joint, released = ours["mtp.0.eh_proj.weight"], held["model.layers.2.eh_proj.weight"]
    assert torch.equal(released[:, :6], joint[:, 6:])  # embedding half first
    assert torch.equal(released[:, 6:], joint[:, :6])
    assert torch.equal(held["model.layers.2.embed_tokens.weight"], ours["embed_tokens.weight"])
    assert torch.equal(held["model.layers.2.shared_head.head.weight"], ours["lm_head.weight"])
    assert torch.equal(held["model.layers.2.shared_head.norm.weight"], ours["mtp.0.norm.weight"])
    bias = ours["mtp.0.block.mlp.gate.e_score_correction_bias"]
    assert torch.equal(held["model.layers.2.mlp.gate.e_score_correction_bias"], bias)


@pytest.mark.parametrize("shard_bytes", [1, 2000, 10**9])
@pytest.mark.parametrize("depth", [0, 2])
def test_import_gives_the_model_back(tmp_path: Path, depth: int, shard_bytes: int) -> None:
    """Bit for bit, in one file and in many, and drawing no random number."""
    config = dataclasses.replace(SMALL, num_nextn_predict_layers=depth)
    model = started(config.with_rope_scaling(YarnScaling(4.0, 8, mscale=0.5, mscale_all_dim=None)))
    export_hugging_face(model, tmp_path / "out", shard_bytes=shard_bytes)
    draws = torch.get_rng_state()
    back = import_hugging_face(tmp_path / "out")
    assert torch.equal(torch.get_rng_state(), draws)
    assert back.config == model.config
    assert same(model, back)
    tokens = torch.arange(11).view(1, 11)
    assert torch.equal(back.logits(tokens), model.logits(tokens))


def test_shards_are_listed_and_no_larger_than_asked(tmp_path: Path) -> None:
    export_hugging_face(started(), tmp_path / "out", shard_bytes=1500)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = sorted((tmp_path / "out").glob("*.safetensors"))
    found: dict[str, str] = {}
    for number, path in enumerate(files, start=1):
        assert path.name == f"model-{number:05d}-of-{len(files):05d}.safetensors"
        held = load_file(path)
        assert sum(tensor.numel() * 4 for tensor in held.values()) <= 1500
        found |= dict.fromkeys(held, path.name)
    assert found == index["weight_map"]
    assert found.keys() == RELEASED.keys()
    sizes = [torch.Size(shape).numel() for shape in RELEASED.values()]
    assert index["metadata"]["total_size"] == 4 * sum(sizes)


def test_bf16_files_hold_rounded_weights_and_exact_biases(tmp_path: Path) -> None:
    model = started()
    export_hugging_face(model, tmp_path / "out", dtype="bfloat16")
    back = import_hugging_face(tmp_path / "out").state_dict()
    for key, tensor in model.state_dict().items():
        exact = key.endswith("e_score_correction_bias")
        assert torch.equal(back[key], tensor if exact else tensor.bfloat16().float()), key


def test_an_interrupted_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(hugging_face, "write_json", broken)
        with pytest.raises(OSError, match="disk full"):
            export_hugging_face(started(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    killed = tmp_path / ".out.tmp"
    killed.mkdir()
    (killed / "model-00001-of-00009.safetensors").write_bytes(b"cut")
    export_hugging_face(started(), tmp_path / "out")
    assert not killed.exists()
    assert same(import_hugging_face(tmp_path / "out"), started())


def test_export_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_hugging_face(started(), tmp_path / "out")
    with pytest.raises(UserError, match="already there"):
        export_hugging_face(started(), tmp_path / "out")
    without = started(dataclasses.replace(SMALL, n_shared_experts=0))
    with pytest.raises(UserError, match="shared expert"):
        export_hugging_face(without, tmp_path / "other")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"model__norm__weight": None}, "lacks 1 tensors, the first model.norm.weight"),
        ({"model__layers__2__hnorm__weight": None}, "mtp=False"),
        ({"model__layers__1__mlp__experts__3__up_proj__weight": torch.zeros(9, 6)}, "1 tensors too many"),
        ({"model__norm__weight": torch.zeros(7)}, r"shape \[7\], config.json asks for \[6\]"),
        ({"model__norm__weight": torch.zeros(6, dtype=torch.float8_e4m3fn)}, "F8_E4M3"),
        ({"model__layers__2__embed_tokens__weight": torch.zeros(11, 6)}, "which MTP shares"),
    ],
)
def test_wrong_tensors_are_named(tmp_path: Path, tensors: dict[str, Tensor | None], message: str) -> None:
    export_hugging_face(started(), tmp_path / "out")
    changed(tmp_path / "out", **tensors)
    with pytest.raises(DataError, match=message):
        import_hugging_face(tmp_path / "out")


def test_copies_in_mtp_may_be_left_out(tmp_path: Path) -> None:
    export_hugging_face(started(), tmp_path / "out")
    copies: dict[str, Tensor | None] = {
        "model__layers__2__embed_tokens__weight": None,
        "model__layers__2__shared_head__head__weight": None,
    }
    changed(tmp_path / "out", **copies)
    assert same(import_hugging_face(tmp_path / "out"), started())


def test_import_without_mtp(tmp_path: Path) -> None:
    export_hugging_face(started(), tmp_path / "out")
    back = import_hugging_face(tmp_path / "out", mtp=False)
    assert back.config == dataclasses.replace(SMALL, num_nextn_predict_layers=0)
    ours = started().state_dict()
    assert all(torch.equal(tensor, ours[key]) for key, tensor in back.state_dict().items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scoring_func": "softmax"}, "scoring_func"),
        ({"rope_interleave": False}, "rope_interleave"),
        ({"attention_bias": True}, "attention_bias"),
        ({"num_key_value_heads": 1}, "num_key_value_heads"),
        ({"q_lora_rank": None}, "q_lora_rank"),
        ({"hidden_size": "6"}, "hidden_size"),
        ({"rope_theta": "much"}, "rope_theta"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantised"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "'linear'"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "original_max_position_embeddings"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0, "surprise": 1}}, "surprise"),
        ({"topk_group": 2}, "topk_group"),
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    export_hugging_face(started(), tmp_path / "out")
    changed_config(tmp_path / "out", **fields)
    with pytest.raises(DataError, match=message):
        import_hugging_face(tmp_path / "out")


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json"):
        import_hugging_face(tmp_path)
    out = tmp_path / "out"
    export_hugging_face(started(), out, shard_bytes=3000)
    index, config = out / "model.safetensors.index.json", (out / "config.json").read_text()
    written = json.loads(index.read_text())
    (out / "config.json").write_text("[]")
    with pytest.raises(DataError, match="JSON object"):
        import_hugging_face(out)
    (out / "config.json").write_text(config)
    first = min(out.glob("*.safetensors"))
    assert written["weight_map"]["lm_head.weight"] != first.name
    content = first.read_bytes()
    first.write_bytes(content[:-10])
    with pytest.raises(DataError, match=first.name):
        import_hugging_face(out)
    first.write_bytes(content)
    elsewhere = dict.fromkeys(written["weight_map"], "../model.safetensors")
    index.write_text(json.dumps({"weight_map": elsewhere}))
    with pytest.raises(DataError, match="beside"):
        import_hugging_face(out)
    index.write_text(json.dumps({"weight_map": written["weight_map"] | {"lm_head.weight": first.name}}))
    with pytest.raises(DataError, match="lacks lm_head"):
        import_hugging_face(out)
    index.unlink()
    with pytest.raises(DataError, match="neither"):
        import_hugging_face(out)


def tokenizer_folder(folder: Path, **roles: Any) -> Path:
    folder.mkdir()
    vocabulary = {"a": 0, "b": 1, "<s>": 2, "</s>": 3}
    added = [
        {"id": number, "content": token, "special": True, "single_word": False, "lstrip": False}
        | {"rstrip": False, "normalized": False}
        for token, number in (("<s>", 2), ("</s>", 3))
    ]
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    (folder / "tokenizer.json").write_text(
        json.dumps({"version": "1.0", "added_tokens": added, "model": model})
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))
    (folder / "encoder.json").write_text("{}")
    return folder


def test_tokenizer_is_copied_and_its_tokens_named(tmp_path: Path) -> None:
    source = tokenizer_folder(tmp_path / "t", bos_token="<s>", eos_token={"content": "</s>"}, pad_token=None)
    export_hugging_face(started(), tmp_path / "out", tokenizer=source)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert [config[f"{role}_token_id"] for role in ("bos", "eos", "pad")] == [2, 3, None]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert not (tmp_path / "out" / "encoder.json").exists()
    assert same(import_hugging_face(tmp_path / "out"), started())


def test_wrong_tokenizers_are_refused(tmp_path: Path) -> None:
    def export(source: Path, config: ModelConfig = SMALL) -> None:
        export_hugging_face(started(config), tmp_path / "out", tokenizer=source)

    with pytest.raises(UserError, match="vocabulary of 3"):
        export(tokenizer_folder(tmp_path / "large"), dataclasses.replace(SMALL, vocab_size=3))
    with pytest.raises(UserError, match="'<eos>' is not in"):
        export(tokenizer_folder(tmp_path / "other", eos_token="<eos>"))
    with pytest.raises(UserError, match=r"cannot read .*tokenizer.json"):
        export(tmp_path)
    assert not (tmp_path / "out").exists()
