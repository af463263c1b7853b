"""`corpusmill generate` on a run, its step, and an exported model; and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from corpusmill.pipelines.cli.generate import render_statistics
from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.generation import GenerationStatistics
from corpusmill.training_hooks.export.hugging_face import export_hugging_face
from corpusmill.training_hooks.inference.locate import Framing, locate
from corpusmill.training_hooks.inference.open_model import open_model
from corpusmill.training_hooks.inference.text_tokens import TextTokens
from tests.oracles.training_inference import greedy

Say = Callable[..., dict[str, Any]]

RECIPE = """\
name: small
seed: 5
data: .
engine: {kind: inline}
sources:
  a: {read: {jsonl: a.jsonl}, steps: []}
tokenizer: {train: {vocab_size: 320}}
pack: {sequence_length: 64, fim: {rate: 0.5}}
train: {steps: 6, batch_size: 2, context: 48, threads: 1, ema: 0.5, warmup: 2}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model trained for a few steps."""
    folder = tmp_path_factory.mktemp("generate")
    draw = random.Random(3)
    words = ["stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass"]
    lines = [json.dumps({"id": str(i), "text": " ".join(draw.choices(words, k=40))}) for i in range(80)]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    app(["run", str(folder / "recipe.yaml"), "--out", str(folder / "run")], standalone_mode=False)
    return folder / "run"


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    found = locate(run)
    export_hugging_face(open_model(found.weights), run.parent / "exported", tokenizer=found.tokenizer)
    return run.parent / "exported"


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """The command in this process, its result as JSON."""

    def said(*arguments: object) -> dict[str, Any]:
        app(["generate", *map(str, arguments), "--json"], standalone_mode=False)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return said


def texts(found: dict[str, Any]) -> list[str]:
    return [one["text"] for one in found["completions"]]


def test_a_run_its_step_and_its_export_say_the_same(run: Path, exported: Path, say: Say) -> None:
    version = locate(run).weights.parent
    found = [
        say(path, "--prompt", "stone river", "--max-tokens", 12)
        for path in (run, version, version / "data", version.parent, exported)
    ]
    assert len({json.dumps(one["completions"]) for one in found}) == 1
    model, tokenizer = open_model(version / "data"), locate(run).tokenizer
    assert tokenizer is not None
    text = TextTokens(tokenizer, model.config.vocab_size, Framing())
    prompt = text.encode("stone river")
    assert text.decode(prompt) == "stone river"
    assert texts(found[0]) == [text.decode(greedy(model, prompt, 12))]
    assert found[0]["completions"][0]["tokens"] == 12
    figures = found[0]["statistics"]
    assert figures["prompt_tokens"] == len(prompt)
    assert figures["cache_bytes_per_token"] == 3 * (64 + 16) * 4
    assert figures["expanded_bytes_per_token"] == 3 * 4 * (48 + 32) * 4
    drafted = say(run, "--prompt", "stone river", "--max-tokens", 12, "--draft", 1)
    assert drafted["completions"] == found[0]["completions"]
    assert len(drafted["statistics"]["draft_acceptance"]) == 1
    averaged = say(run, "--prompt", "stone river", "--max-tokens", 12, "--ema")
    assert averaged["completions"][0]["tokens"] <= 12


def test_infilling_frames_the_prompt_as_the_shards_are(run: Path, say: Say) -> None:
    found, model = locate(run), open_model(locate(run).weights)
    assert found.framing == Framing(bos=False, fim="psm")
    assert found.tokenizer is not None
    text = TextTokens(found.tokenizer, 320, found.framing)
    roles = {role: text.special(role) for role in ("fim_begin", "fim_hole", "fim_end", "bos", "eos")}
    before, after = text.encode("stone ri"), text.encode(" cloud")
    framed = [roles["fim_begin"], *before, roles["fim_hole"], *after, roles["fim_end"]]
    assert text.infill("stone ri", " cloud") == framed
    middle = greedy(model, framed, 8)
    cut = middle[: middle.index(roles["eos"])] if roles["eos"] in middle else middle
    said = say(run, "--prefix", "stone ri", "--suffix", " cloud", "--max-tokens", 8)
    assert texts(said) == [text.decode(cut)]
    assert said["completions"][0]["prefix"] == "stone ri"
    spm = TextTokens(found.tokenizer, 320, Framing(bos=True, fim="spm"))
    assert spm.infill("stone ri", " cloud") == [
        *(roles[role] for role in ("bos", "fim_begin", "fim_hole")),
        *after,
        roles["fim_end"],
        *before,
    ]
    assert spm.prompt("") == [roles["bos"]]
    assert text.prompt("") == [roles["eos"]]
    with pytest.raises(UserError, match="cannot infill"):
        TextTokens(found.tokenizer, 320, Framing(fim=None)).infill("a", "b")


def test_text_that_spells_a_control_token_is_text(run: Path) -> None:
    tokenizer = locate(run).tokenizer
    assert tokenizer is not None
    text = TextTokens(tokenizer, 320, Framing())
    spelt = "a<｜end▁of▁sentence｜>b"
    tokens = text.encode(spelt)
    assert text.special("eos") not in tokens
    assert text.decode(tokens) == spelt
    assert text.decode([*tokens[:1], text.special("eos"), *tokens[1:]]) == spelt


def test_files_and_samples(run: Path, say: Say, tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text('{"prompt": "stone"}\n\n{"suffix": "b", "prefix": "a"}\n')
    (tmp_path / "one.py").write_text("stone\n")
    found = say(run, "--file", tmp_path / "many.jsonl", "--prompt", "glass", "--max-tokens", 3)
    asked = [one.get("prompt", one.get("prefix")) for one in found["completions"]]
    assert asked == ["glass", "stone", "a"]
    found = say(run, "--file", tmp_path / "one.py", "--max-tokens", 5, "--temperature", 1, "--samples", 3)
    assert [one["prompt"] for one in found["completions"]] == ["stone\n"] * 3
    assert len(set(texts(found))) > 1
    again = say(run, "--file", tmp_path / "one.py", "--max-tokens", 5, "--temperature", 1, "--samples", 3)
    assert texts(again) == texts(found)


def test_plain_output_is_the_text_and_figures_go_to_standard_error(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["generate", str(run), "--prompt", "stone", "--max-tokens", "4"]
    app([*arguments, "--stats", "--draft", "1"], standalone_mode=False)
    said = capsys.readouterr()
    assert "bytes a token" in said.err
    assert "accepted" in said.err
    app([*arguments, "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert said.out == texts(found)[0] + "\n"
    assert "drafts" not in render_statistics(decode(GenerationStatistics, found["statistics"], "printed"))


def failing(say: Say, *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        say(*arguments)
    return str(caught.value)


def test_what_is_asked_wrongly_is_said(run: Path, say: Say, tmp_path: Path) -> None:
    cases: list[tuple[Sequence[object], str]] = [
        ((run,), "give a prompt"),
        ((run, "--prefix", "a"), "both --prefix and --suffix"),
        ((run, "--prompt", "a", "--draft", 2), "1 MTP modules to draft with, 2 asked for"),
        ((run, "--prompt", "a", "--samples", 2), "without a temperature"),
        ((run, "--prompt", "a", "--top-p", 1.5), "top_p must lie in"),
        ((run, "--file", tmp_path / "none.txt"), "none.txt"),
        ((tmp_path / "none", "--prompt", "a"), "no such folder"),
        ((run / "steps" / "pack", "--prompt", "a"), "neither a run"),
        ((run / "steps" / "nothing", "--prompt", "a"), "no such folder"),
        ((tmp_path, "--prompt", "a"), "neither a run"),
        ((run / "current.json", "--prompt", "a"), "a file; give the folder"),
        ((run, "--prompt", "a", "--tokenizer", tmp_path), "holds no tokenizer.json"),
    ]
    for arguments, message in cases:
        assert message in failing(say, *arguments)
    for content, message in (("{", "not JSON"), ('{"text": "a"}', "expected"), ("[1]", "expected")):
        (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n' + content)
        assert f"bad.jsonl:2: {message}" in failing(say, run, "--file", tmp_path / "bad.jsonl")


def test_a_missing_or_foreign_tokenizer_is_refused(
    run: Path, exported: Path, say: Say, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(exported, bare)
    for path in bare.glob("*token*"):
        path.unlink()
    assert "no tokenizer beside the model" in failing(say, bare, "--prompt", "a")
    other = tmp_path / "other"
    other.mkdir()
    definition = json.loads((exported / "tokenizer.json").read_text("utf-8"))
    definition["added_tokens"].append({**definition["added_tokens"][0], "id": 5000, "content": "<x>"})
    (other / "tokenizer.json").write_text(json.dumps(definition), "utf-8")
    message = failing(say, bare, "--prompt", "a", "--tokenizer", other)
    assert "has a token 5000, the model a vocabulary of 3" in message
    assert "not the tokenizer that the model was trained with" in failing(
        say, run, "--prompt", "a", "--tokenizer", other
    )
    (other / "tokenizer.json").write_text("{")
    assert "cannot be read" in failing(say, bare, "--prompt", "a", "--tokenizer", other)


def test_damaged_weights_are_named(run: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = locate(run).weights
    for name in ("config.json", "model.safetensors"):
        shutil.copy(weights / name, tmp_path / name)
    path = tmp_path / "model.safetensors"
    whole = load_file(path)
    for change, message in (
        ({"norm.weight": torch.ones(7)}, "norm.weight has shape"),
        ({"norm.weight": whole["norm.weight"].half()}, "has type torch.float16"),
        ({"strange": torch.ones(7)}, "has, beyond what config.json beside it asks for, strange"),
    ):
        save_file({**whole, **change}, path)
        with pytest.raises(DataError, match=message):
            open_model(tmp_path)
    save_file({name: tensor for name, tensor in whole.items() if name != "norm.weight"}, path)
    with pytest.raises(DataError, match=r"lacks norm\.weight"):
        open_model(tmp_path)
    path.write_bytes(b"no weights")
    with pytest.raises(DataError, match="cannot read"):
        open_model(tmp_path)
    with pytest.raises(UserError, match="ema"):
        open_model(tmp_path, ema=True)


def test_without_torch_the_cure_is_named(run: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "torch" else there(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert "pip install corpusmill[train]" in failing(say, run, "--prompt", "a")


def test_devices_that_serve_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`experts`: both pools measured, with the tokens of the model alone."""
    words = ["stone", "river", "cloud", "light", "seven", "quiet", "amber", "field", "north", "glass"]
    text = tmp_path / "text.txt"
    text.write_text(" ".join(random.Random(8).choices(words, k=400)))
    some = ["--requests", "8", "--prompt", "12", "--new", "12", "--batch", "2", "--every", "20"]
    asked = ["experts", str(run), "--devices", "4", "--threads", "1", *some, "--file", str(text)]
    app([*asked, "--json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["experts"], found["shared"], found["active"], found["checked"]) == (8, 1, 2, 24)
    prefill, decode = found["pools"]
    assert (prefill["slots"], decode["slots"]) == (3, 4)
    assert (prefill["shared_placed"], decode["shared_placed"]) == (False, True)
    for pool in (prefill, decode):
        assert pool["plans"] >= 2
        assert pool["by_pass"] >= pool["by_window"] >= 1
        assert [layer["layer"] for layer in pool["layers"]] == [1, 2]
        assert pool["moved"] == sum(layer["moved"] for layer in pool["layers"])
    app(asked, standalone_mode=False)
    said = capsys.readouterr().out
    assert f"{prefill['without_by_pass']:.3f}" in said
    assert "24 new tokens equal the model's own" in said
    for more, what in (
        (["--requests", "999"], "but 999 requests of 12 take 11,988"),
        (["--every", "9999"], "prefill pool saw too few tokens for a plan every 9,999"),
        (["--devices", "3"], "3 devices must divide into 2 nodes"),
        (["--slots", "1"], "have no room for 8 experts; correct"),
    ):
        with pytest.raises(UserError, match=what):
            app([*asked, *more], standalone_mode=False)
    with pytest.raises(UserError, match=r"held-out documents of .*: [0-9,]+ tokens"):
        app(["experts", str(run), "--requests", "99999"], standalone_mode=False)
    with pytest.raises(UserError, match="no run, so no held-out documents"):
        app(["experts", str(locate(run).weights)], standalone_mode=False)
