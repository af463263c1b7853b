"""Import of FP8 weights with a scale for each block, as DeepSeek-V3 is released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.training_hooks.export.hugging_face import export_hugging_face
from corpusmill.training_hooks.export.import_hugging_face import has_mtp_weights, import_hugging_face
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer

BLOCK = (4, 3)
CONFIG = ModelConfig(
    vocab_size=11,
    hidden_size=8,
    num_hidden_layers=2,
    first_k_dense_replace=1,
    intermediate_size=10,
    num_attention_heads=2,
    q_lora_rank=5,
    kv_lora_rank=4,
    qk_nope_head_dim=4,
    qk_rope_head_dim=2,
    v_head_dim=6,
    n_routed_experts=3,
    n_shared_experts=1,
    num_experts_per_tok=2,
    moe_intermediate_size=7,
    initializer_range=0.4,
)
UP = "model.layers.1.mlp.experts.2.up_proj.weight"


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Block by block, its largest value at 448. Returns E4M3 and FP32 scales."""
    rows, columns = weight.shape
    stored = torch.empty(rows, columns, dtype=torch.float8_e4m3fn)
    scales = torch.empty(-(-rows // BLOCK[0]), -(-columns // BLOCK[1]))
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            place = slice(i * BLOCK[0], (i + 1) * BLOCK[0]), slice(j * BLOCK[1], (j + 1) * BLOCK[1])
            scales[i, j] = weight[place].abs().max() / 448
            stored[place] = (weight[place] / scales[i, j]).to(torch.float8_e4m3fn)
    return stored, scales


def literal(stored: Tensor, scales: Tensor) -> Tensor:
    """Weight by weight, as a definition would say it."""
    found = torch.empty(stored.shape)
    for i in range(stored.shape[0]):
        for j in range(stored.shape[1]):
            found[i, j] = float(stored[i, j]) * scales[i // BLOCK[0], j // BLOCK[1]]
    return found


@pytest.fixture
def released(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """A folder of two files whose projections are FP8, one scale in the other file; and the weights meant."""
    model = Transformer(CONFIG)
    initialise(model, 1, 0.4)
    folder = tmp_path / "released"
    export_hugging_face(model, folder)
    meant: dict[str, Tensor] = {}
    held: dict[str, Tensor] = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if "_proj" in name and not name.endswith("bias"):
            held[name], held[f"{name}_scale_inv"] = quantise(tensor)
            meant[name] = literal(held[name], held[f"{name}_scale_inv"])
        else:
            held[name] = meant[name] = tensor
    (folder / "model.safetensors").unlink()
    write(folder, held)
    return folder, meant


def write(folder: Path, held: dict[str, Tensor]) -> None:
    apart = {f"{UP}_scale_inv"} & held.keys()
    parts = {
        "model-1.safetensors": {name: tensor for name, tensor in held.items() if name not in apart},
        "model-2.safetensors": {name: held[name] for name in apart},
    }
    weight_map = {name: file for file, part in parts.items() for name in part}
    for file, part in parts.items():
        save_file(part, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    configure(folder, quant_method="fp8", fmt="e4m3", weight_block_size=list(BLOCK))


def configure(folder: Path, **quantised: Any) -> None:
    path = folder / "config.json"
    written = json.loads(path.read_text()) | {"quantization_config": quantised}
    path.write_text(json.dumps(written))


def both(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model-1.safetensors") | load_file(folder / "model-2.safetensors")


@pytest.mark.parametrize("mtp", [True, False])
def test_weights_are_the_stored_ones_times_their_blocks_scales(
    released: tuple[Path, dict[str, Tensor]], tmp_path: Path, mtp: bool
) -> None:
    folder, meant = released
    assert has_mtp_weights(folder)
    model = import_hugging_face(folder, mtp=mtp)
    assert len(model.mtp) == int(mtp)
    export_hugging_face(model, tmp_path / "again")
    again = load_file(tmp_path / "again" / "model.safetensors")
    expected = {name for name in meant if mtp or not name.startswith("model.layers.2.")}
    assert again.keys() == expected
    for name, tensor in again.items():
        assert torch.equal(tensor, meant[name]), name
    assert "quantization_config" not in json.loads((tmp_path / "again" / "config.json").read_text())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({f"{UP}_scale_inv": None}, r"up_proj\.weight has type F8_E4M3 and no"),
        ({f"{UP}_scale_inv": torch.ones(2, 2)}, r"shape \[2, 2\], FP32 of shape \[2, 3\]"),
        ({f"{UP}_scale_inv": torch.ones(2, 3).half()}, "torch.float16"),
        ({f"{UP}_scale_inv": torch.full((2, 3), torch.inf)}, "no finite number"),
        ({UP: torch.ones(7, 8)}, "has scales, but type F32"),
        ({UP: torch.ones(8, 8).to(torch.float8_e4m3fn)}, r"shape \[8, 8\], config\.json asks for \[7, 8\]"),
        ({"model.norm.weight": torch.ones(8).to(torch.float8_e5m2)}, "F8_E5M2"),
        ({"lost.weight_scale_inv": torch.ones(1, 1)}, r"lost\.weight_scale_inv belongs to no weight"),
        ({UP: None}, "belongs to no weight"),
    ],
)
def test_what_does_not_fit_is_named(
    released: tuple[Path, dict[str, Tensor]], changed: dict[str, Tensor | None], message: str
) -> None:
    folder, _ = released
    held: dict[str, Tensor | None] = {**both(folder), **changed}
    write(folder, {name: tensor for name, tensor in held.items() if tensor is not None})
    with pytest.raises(DataError, match=message):
        import_hugging_face(folder)


@pytest.mark.parametrize(
    "options",
    [
        {"quant_method": "gptq", "weight_block_size": [128, 128]},
        {"quant_method": "fp8"},
        {"quant_method": "fp8", "weight_block_size": [128]},
        {"quant_method": "fp8", "weight_block_size": [128, 0]},
        {"quant_method": "fp8", "fmt": "e5m2", "weight_block_size": [128, 128]},
    ],
)
def test_other_ways_of_quantising_are_refused(
    released: tuple[Path, dict[str, Tensor]], options: dict[str, Any]
) -> None:
    folder, _ = released
    configure(folder, **options)
    with pytest.raises(DataError, match="quantised weights of this kind"):
        import_hugging_face(folder)
