"""`corpusmill export --to deepseek_v3` and `import`: what they write, and what they say when they cannot."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import CorpusmillError, DataError, UserError
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.storage.sealed import sha256_file
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
from corpusmill.training_hooks.export import hugging_face, verify
from corpusmill.training_hooks.export.hugging_face import export_hugging_face
from corpusmill.training_hooks.export.import_hugging_face import has_mtp_weights, import_hugging_face
from corpusmill.training_hooks.export.own_form import write_own_form
from corpusmill.training_hooks.inference.locate import locate, training_steps
from corpusmill.training_hooks.inference.open_model import open_model
from corpusmill.training_hooks.model.config import ModelConfig, preset
from corpusmill.training_hooks.model.initialise import initialise
from corpusmill.training_hooks.model.transformer import Transformer
from tests.made_records import made_key, made_manifest
from tests.oracles.tokenizer_evaluation import trained
from tests.oracles.tokenizer_texts import made_texts

Say = Callable[..., dict[str, Any]]
VOCABULARY = 384
CONFIG = dataclasses.replace(
    preset("v3-tiny", VOCABULARY), hidden_size=64, intermediate_size=96, num_hidden_layers=2
)
STEPS = ("train", "long_context.0", "long_context.2", "long_context.10")


def started(seed: int, config: ModelConfig = CONFIG) -> Transformer:
    """Random weights, norms and routing biases, different for every seed."""
    model = Transformer(config)
    initialise(model, seed, 0.3)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for gate in model.gates():
            gate.e_score_correction_bias.normal_(std=0.3, generator=draws)
    return model.requires_grad_(False)


def same(one: Transformer, other: Transformer) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def finish(run: Path, name: str, write: Callable[[Path], object] | None = None, **artefacts: str) -> Path:
    """A complete step of a made run, current, with what `write` puts there; returns its folder of data."""
    steps = {**RunFolder(run).current().steps, name: f"{name}-version".ljust(64, "0")}
    RunFolder(run).write_current(Pointer("made", steps))
    step = RunFolder(run).current_step(name)
    assert step is not None
    attempt = step.attempt(0, 1)
    if write is not None:
        write(attempt.folder)
    receipt, key = attempt.commit(UnitResult(0)), made_key(artefacts=artefacts)
    step.write_manifest(made_manifest([receipt], name, steps[name], key=key, content=f"content of {name}"))
    return step.data


def write_tokenizer(folder: Path) -> None:
    definition = trained(made_texts(60), 300)
    for number, content in enumerate(SPECIAL_TOKENS.values(), start=301):
        definition["added_tokens"].append({**definition["added_tokens"][0], "id": number, "content": content})
    (folder / "tokenizer.json").write_text(json.dumps(definition), "utf-8")
    roles = {f"{role}_token": SPECIAL_TOKENS[role] for role in ("bos", "eos", "pad")}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(roles | kind), "utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made run: a tokenizer and a training step with trained and averaged weights."""
    folder = tmp_path_factory.mktemp("made") / "run"
    finish(folder, "tokenizer", write_tokenizer)

    def write(data: Path) -> None:
        write_own_form(started(1), data, None)
        save_file(started(2).state_dict(), data / "ema.safetensors")

    finish(folder, "train", write, tokenizer="content of tokenizer")
    return folder


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """A command in this process, its result as JSON."""

    def said(*arguments: object) -> dict[str, Any]:
        app([*map(str, arguments), "--json"], standalone_mode=False)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return said


def failing(say: Say, *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        say(*arguments)
    return str(caught.value)


def continued(say: Say, model: Path) -> list[str]:
    options = ("--max-tokens", 12, "--temperature", 1, "--seed", 4)
    found = say("generate", model, "--prompt", "one two", *options)
    return [one["text"] for one in found["completions"]]


def test_a_run_goes_out_and_comes_back(run: Path, say: Say, tmp_path: Path) -> None:
    """Bit for bit, through both commands; its tokenizer comes along and it generates the same text."""
    found = say("export", run, tmp_path / "out", "--to", "deepseek_v3")
    exported = import_hugging_face(tmp_path / "out")
    assert same(exported, started(1))
    assert sorted(found["files"]) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    for name, digest in found["files"].items():
        assert sha256_file(tmp_path / "out" / name) == digest
    held = load_file(tmp_path / "out" / "model.safetensors")
    assert found["tensors"] == len(held)
    assert found["bytes"] == sum(tensor.numel() * 4 for tensor in held.values())
    biases = sum(gate.e_score_correction_bias.numel() for gate in exported.gates())
    weights = sum(tensor.numel() for tensor in exported.state_dict().values()) - biases
    assert found["parameters"]["main"] + found["parameters"]["mtp"] == weights
    mode = {path.stat().st_mode for path in (tmp_path / "out").iterdir()}
    assert len(mode) == 1
    back = say("import", tmp_path / "out", tmp_path / "back")
    assert same(open_model(tmp_path / "back"), started(1))
    assert open_model(tmp_path / "back").config == exported.config
    assert (back["mtp_modules"], back["vocabulary"], "mtp_promised" in back) == (1, VOCABULARY, False)
    assert back["files"].keys() == found["files"].keys()
    assert back["parameters"] == found["parameters"]
    said = [continued(say, model) for model in (run, tmp_path / "out", tmp_path / "back")]
    assert said[0] == said[1] == said[2]
    assert len(set(said[0][0])) > 3
    again = say("export", tmp_path / "back", tmp_path / "again", "--to", "deepseek_v3")
    assert again["files"] == found["files"]


def test_bf16_and_averaged_weights(run: Path, say: Say, tmp_path: Path) -> None:
    found = say("export", run, tmp_path / "out", "--to", "deepseek_v3", "--dtype", "bfloat16", "--ema")
    assert (found["weights"], found["dtype"]) == ("averaged", "bfloat16")
    back = import_hugging_face(tmp_path / "out").state_dict()
    for key, tensor in started(2).state_dict().items():
        exact = key.endswith("e_score_correction_bias")
        assert torch.equal(back[key], tensor if exact else tensor.bfloat16().float()), key


def test_what_transformers_says_is_asked_and_believed(
    run: Path, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="compares with transformers, of the dev extra")
    found = say("export", run, tmp_path / "out", "--to", "deepseek_v3")["verified"]["logits"]
    assert found["library"].startswith("transformers ")
    assert found["tokens"] == 128
    assert found["largest_difference"] < 1e-4
    other = started(3)
    monkeypatch.setattr(verify, "import_hugging_face", lambda folder, mtp: other)
    with pytest.raises(CorpusmillError, match="gives other logits"):
        say("export", run, tmp_path / "wrong", "--to", "deepseek_v3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_without_transformers_the_result_says_so(
    run: Path, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "find_spec", lambda name: None)
    found = say("export", run, tmp_path / "out", "--to", "deepseek_v3")
    assert found["verified"]["logits"] == "transformers is not installed: logits were not compared"


@pytest.mark.parametrize("fault", ["value", "type", "lost"])
def test_a_fault_in_writing_is_noticed_and_nothing_kept(
    run: Path, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    writes = hugging_face._write_weights

    def broken(model: Transformer, folder: Path, kind: torch.dtype, shard_bytes: int) -> None:
        writes(model, folder, kind, shard_bytes)
        held = load_file(folder / "model.safetensors")
        name = "model.layers.1.mlp.experts.3.up_proj.weight"
        if fault == "value":
            held[name][0, 0] = held[name][0, 0].nextafter(torch.tensor(9.0))
        elif fault == "type":
            held[name] = held[name].bfloat16()
        else:
            held.pop(name)
        save_file(held, folder / "model.safetensors")

    monkeypatch.setattr(hugging_face, "_write_weights", broken)
    with pytest.raises(CorpusmillError, match=r"experts\.3\.up_proj\.weight"):
        say("export", run, tmp_path / "out", "--to", "deepseek_v3")
    assert list(tmp_path.iterdir()) == []


def test_the_last_complete_training_step_is_the_model(run: Path, say: Say, tmp_path: Path) -> None:
    """By number, not by spelling; a step that is not complete, and one's shards, do not count."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert locate(copy).weights.parts[-3] == "train"
    for seed, name in enumerate(STEPS[1:], start=5):
        model = started(seed)
        finish(copy, name, partial(write_own_form, model, tokenizer=None), tokenizer="content of tokenizer")
    finish(copy, "long_context.11.pack")
    unfinished = finish(copy, "long_context.11", tokenizer="content of tokenizer")
    (unfinished.parent / "manifest.json").unlink()
    assert training_steps(RunFolder(copy)) == list(STEPS)
    assert locate(copy).weights.parts[-3] == "long_context.10"
    say("export", copy, tmp_path / "last", "--to", "deepseek_v3")
    assert same(import_hugging_face(tmp_path / "last"), started(7))
    for seed, name in ((1, "train"), (5, "long_context.0"), (6, "long_context.2")):
        assert same(open_model(locate(copy / "steps" / name).weights), started(seed))
    message = failing(
        say, "export", copy / "steps" / "long_context.11", tmp_path / "x", "--to", "deepseek_v3"
    )
    assert "no trained model here yet" in message


def test_export_goes_by_what_is_asked_for(run: Path, say: Say, tmp_path: Path) -> None:
    tokenizer = locate(run).tokenizer
    assert tokenizer is not None
    bare, out = tmp_path / "bare", tmp_path / "out"
    shutil.copytree(locate(run).weights, bare)
    finish(tmp_path / "none", "tokenizer")
    cases = [
        ((run, "--to", "pytorch"), "there are of a model: deepseek_v3; of a tokenizer: gguf"),
        ((run, "--to", "tiktoken", "--ema"), "--ema is for --to deepseek_v3"),
        ((run, "--to", "tiktoken", "--dtype", "float32"), "--dtype is for --to deepseek_v3"),
        ((run, "--to", "tiktoken", "--tokenizer", tokenizer), "--tokenizer is for --to deepseek_v3"),
        ((tokenizer, "--to", "deepseek_v3"), "neither a run"),
        ((tokenizer / "tokenizer.json", "--to", "deepseek_v3"), "a tokenizer, not a model"),
        ((bare, "--to", "tiktoken"), "the model here goes --to deepseek_v3"),
        ((tmp_path / "gone", "--to", "deepseek_v3"), "no such folder"),
        ((tmp_path / "none", "--to", "deepseek_v3"), "no trained model here yet"),
        ((bare, "--to", "deepseek_v3", "--tokenizer", tmp_path), "holds no tokenizer.json"),
        ((run, "--to", "deepseek_v3", "--tokenizer", other_tokenizer(tmp_path)), "not the tokenizer that"),
    ]
    for (what, *options), message in cases:
        assert message in failing(say, "export", what, out, *options)
    assert not out.exists()
    assert say("export", bare, out, "--to", "deepseek_v3")["tokenizer"] is None
    assert "already there" in failing(say, "export", bare, out, "--to", "deepseek_v3")
    given = say("export", bare, tmp_path / "with", "--to", "deepseek_v3", "--tokenizer", tokenizer)
    assert given["tokenizer"] == str(tokenizer)
    assert same(import_hugging_face(tmp_path / "with"), started(1))


def other_tokenizer(folder: Path) -> Path:
    (folder / "other").mkdir()
    (folder / "other" / "tokenizer.json").write_text("{}")
    return folder / "other"


def test_a_folder_of_transformers_is_imported_without_mtp(run: Path, say: Say, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="compares with transformers, of the dev extra")
    transformers: Any = importlib.import_module("transformers")
    say("export", run, tmp_path / "out", "--to", "deepseek_v3")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    theirs.save_pretrained(tmp_path / "saved")
    found = say("import", tmp_path / "saved", tmp_path / "back")
    assert (found["mtp_modules"], found["mtp_promised"], found["tokenizer"]) == (0, 1, None)
    back, ours = open_model(tmp_path / "back").state_dict(), started(1).state_dict()
    assert back.keys() == {key for key in ours if not key.startswith("mtp.")}
    assert all(torch.equal(tensor, ours[key]) for key, tensor in back.items())
    assert same(open_model(tmp_path / "saved", mtp=None), open_model(tmp_path / "back"))
    tokenizer = locate(run).tokenizer
    options = ("--prompt", "one", "--tokenizer", tokenizer, "--draft", 1)
    for model in ("saved", "back"):
        assert "0 MTP modules to draft with" in failing(say, "generate", tmp_path / model, *options)
    given = say("import", tmp_path / "saved", tmp_path / "with", "--tokenizer", tokenizer)
    assert given["tokenizer"] == str(tokenizer)
    assert (tmp_path / "with" / "tokenizer.json").is_file()


def test_bf16_folders_of_several_files_are_imported(tmp_path: Path, say: Say) -> None:
    export_hugging_face(started(1), tmp_path / "out", dtype="bfloat16", shard_bytes=50_000)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 3
    say("import", tmp_path / "out", tmp_path / "back")
    for key, tensor in open_model(tmp_path / "back").state_dict().items():
        given = started(1).state_dict()[key]
        exact = key.endswith("e_score_correction_bias")
        assert torch.equal(tensor, given if exact else given.bfloat16().float())


def damaged(folder: Path, **changed: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))


def test_what_cannot_be_imported_is_said(run: Path, say: Say, tmp_path: Path) -> None:
    weights = locate(run).weights
    file = tmp_path / "file"
    file.write_text("")
    (tmp_path / "empty").mkdir()
    for folder, message in (
        (tmp_path / "gone", "no such folder"),
        (file, "a file"),
        (run, "needs no import"),
        (weights.parent, "needs no import"),
        (weights, "already in corpusmill's own form"),
        (tmp_path / "empty", "no config.json"),
    ):
        assert message in failing(say, "import", folder, tmp_path / "out")
    export_hugging_face(started(1), tmp_path / "good")
    write_tokenizer(tmp_path / "good")

    def broken(name: str, **changed: Any) -> Path:
        shutil.copytree(tmp_path / "good", tmp_path / name)
        damaged(tmp_path / name, **changed)
        return tmp_path / name

    pickled = broken("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    torn = broken("torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:-8])
    partial = broken("partial")
    held = load_file(partial / "model.safetensors")
    held.pop("model.layers.2.enorm.weight")
    save_file(held, partial / "model.safetensors")
    narrow = broken("narrow")
    definition = json.loads((narrow / "tokenizer.json").read_text("utf-8"))
    definition["added_tokens"].append({**definition["added_tokens"][0], "id": 384, "content": "<x>"})
    (narrow / "tokenizer.json").write_text(json.dumps(definition), "utf-8")
    for folder, error, message in (
        (broken("other", model_type="llama"), DataError, "model_type must be 'deepseek_v3'"),
        (broken("fp8", quantization_config={"quant_method": "fp8"}), DataError, "quantised weights"),
        (broken("odd", num_hidden_layers="2"), DataError, "num_hidden_layers must be a whole number"),
        (broken("deep", num_hidden_layers=3), DataError, r"too many, the first model\.layers\.2\.eh_proj"),
        (pickled, DataError, r"pytorch_model\.bin is pickled"),
        (torn, DataError, "cannot read"),
        (partial, DataError, r"lacks 1 tensors, the first model\.layers\.2\.enorm\.weight"),
        (narrow, UserError, "has a token 384, the model a vocabulary of 384"),
    ):
        with pytest.raises(error, match=message):
            say("import", folder, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
    say("import", tmp_path / "good", tmp_path / "out")
    assert "already there" in failing(say, "import", tmp_path / "good", tmp_path / "out")
    assert has_mtp_weights(tmp_path / "good")


def test_without_torch_the_cure_is_named(
    run: Path, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "torch" else there(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    for command in (
        ("export", run, tmp_path / "out", "--to", "deepseek_v3"),
        ("import", run, tmp_path / "out"),
    ):
        assert "pip install corpusmill[train]" in failing(say, *command)
