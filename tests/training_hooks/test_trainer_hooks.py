"""The loader inside trainers of others. Each test needs that trainer installed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.loading.grain_source import ShardSource
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.torch_dataset import ShardDataset
from tests.oracles.training_shards import PAD, Writer, chain_language

# Libraries that warn of their own parts.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")]


@pytest.fixture
def shards(write: Writer) -> list[Path]:
    rows = chain_language(9, 20, 0)
    rows[::2, 13:] = PAD
    return [write("0.arrow", rows), write("1.arrow", chain_language(6, 20, 1))]


def test_a_source_has_the_windows_as_they_lie_or_the_stream(shards: list[Path]) -> None:
    stored = ShardSource(shards, context=8, documents=True)
    assert len(stored) == 15 * 3
    loader = ShardLoader(shards, batch_size=1, seed=0, context=8, order="stored")
    for number in (0, 7, 44):
        inputs, labels = loader.pairs(number, 1)
        record = stored[number]
        assert (record["input_ids"] == inputs[0]).all()
        assert (record["labels"] == labels[0]).all()
        assert (record["position_ids"] == loader.documents(number, 1)[1][0]).all()
    with pytest.raises(IndexError, match=r"0\.\.44"):
        stored[45]
    stream = ShardSource(shards, context=8, seed=6, epochs=2)
    expected = ShardLoader(shards, batch_size=90, seed=6, context=8).pairs(0, 90)[0]
    assert (np.stack([stream[i]["input_ids"] for i in range(len(stream))]) == expected).all()
    assert repr(stream) != repr(ShardSource(shards, context=8, seed=7, epochs=2))
    with pytest.raises(ValueError, match="have Grain repeat them"):
        ShardSource(shards, epochs=2)


def test_grain_shuffles_shares_out_and_makes_batches(shards: list[Path]) -> None:
    grain = pytest.importorskip("grain", reason="grain is not installed")
    source = ShardSource(shards, context=8)
    rows = grain.MapDataset.source(source).shuffle(seed=3)
    parts = [rows[part::2].batch(5) for part in range(2)]
    seen = np.concatenate([batch["input_ids"] for part in parts for batch in part])
    every = np.stack([source[i]["input_ids"] for i in range(len(source))])
    assert sorted(seen.tolist()) == sorted(every.tolist())
    assert not (seen == every).all()
    iterator = iter(rows.batch(5).to_iter_dataset())
    for _ in range(3):
        next(iterator)
    state = iterator.get_state()
    following = next(iterator)["labels"]
    again = iter(rows.batch(5).to_iter_dataset())
    again.set_state(state)
    assert (next(again)["labels"] == following).all()


def tiny_model() -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=32,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def trainer(shards: list[Path], folder: Path, steps: int, **options: Any) -> Any:
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from transformers import TrainingArguments

    from corpusmill.training_hooks.hooks.hugging_face import ShardTrainer

    dataset = ShardDataset(shards, batch_size=4, seed=6, context=8, extras=("position_ids",))
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, save_steps=3, per_device_train_batch_size=4, report_to=[],
        logging_steps=1, use_cpu=True, disable_tqdm=True, learning_rate=0.01, lr_scheduler_type="constant",
        **options,
    )  # fmt: skip
    return ShardTrainer(model=tiny_model(), args=arguments, train_dataset=dataset)


def test_hugging_faces_trainer_goes_on_where_its_checkpoint_was(shards: list[Path], tmp_path: Path) -> None:
    whole = trainer(shards, tmp_path / "whole", 6)
    whole.train()
    losses = [line["loss"] for line in whole.state.log_history if "loss" in line]
    assert len(losses) == 6
    stopped = trainer(shards, tmp_path / "stopped", 3)
    stopped.train()
    state = json.loads((tmp_path / "stopped/checkpoint-3/corpusmill_loader.json").read_text("utf-8"))
    assert state["next_sample"] == 12
    resumed = trainer(shards, tmp_path / "stopped", 6)
    resumed.train(resume_from_checkpoint=True)
    after = [line["loss"] for line in resumed.state.log_history if "loss" in line and line["step"] > 3]
    assert after == losses[3:]
    assert resumed.train_dataset.state_dict()["next_sample"] == 24
    (tmp_path / "stopped/checkpoint-3/corpusmill_loader.json").unlink()
    with pytest.raises(UserError, match=r"corpusmill_loader\.json is missing"):
        trainer(shards, tmp_path / "stopped", 6).train(str(tmp_path / "stopped/checkpoint-3"))


def test_its_loss_is_that_of_the_labels_and_not_of_labels_shifted_again(
    shards: list[Path], tmp_path: Path
) -> None:
    one = trainer(shards, tmp_path, 1, gradient_accumulation_steps=2)
    model = tiny_model()
    batches = list(itertools.islice(ShardDataset(shards, batch_size=4, seed=6, context=8), 2))
    total, count = 0.0, 0
    for batch in batches:
        logits = model(input_ids=batch["input_ids"]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum"
        )
        total, count = total + float(loss.detach()), count + int((batch["labels"] != -100).sum())
    one.train_dataset.form = type(one.train_dataset.form)()  # positions as the model above has them
    one.train()
    (first,) = [line["loss"] for line in one.state.log_history if "loss" in line]
    assert first == pytest.approx(total / count, rel=1e-4)


def test_its_batches_have_the_rows_that_its_arguments_say(shards: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from transformers import TrainingArguments

    from corpusmill.training_hooks.hooks.hugging_face import ShardTrainer

    arguments = TrainingArguments(output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=8)
    dataset = ShardDataset(shards, batch_size=4, seed=6)
    with pytest.raises(ValueError, match="per_device_train_batch_size is 8, but this process has 4 rows"):
        ShardTrainer(model=tiny_model(), args=arguments, train_dataset=dataset)


def test_torchtitan_builds_the_loader_and_goes_on_with_other_replicas(shards: list[Path]) -> None:
    pytest.importorskip("torchtitan", reason="torchtitan is not installed")
    from corpusmill.training_hooks.hooks.torchtitan import TitanLoader

    def built(replica: int, replicas: int, rows: int) -> Any:
        config = TitanLoader.Config(shards=[str(path) for path in shards], seed=6)
        return config.build(
            dp_world_size=replicas, dp_rank=replica, tokenizer=None, seq_len=8, local_batch_size=rows,
            snapshot_every_n_steps=None,
        )  # fmt: skip

    stream = ShardLoader(shards, batch_size=4, seed=6, context=8)
    two = [built(replica, 2, 3) for replica in range(2)]
    parts = [list(itertools.islice(iter(loader), 2)) for loader in two]
    for number in range(2):
        inputs = torch.cat([part[number][0]["input"] for part in parts])
        labels = torch.cat([part[number][1] for part in parts])
        expected = stream.pairs(6 * number, 6)
        assert (inputs.numpy() == expected[0]).all()
        assert (labels.numpy() == expected[1]).all()
        assert parts[0][number][0]["positions"].shape == (3, 8)
    assert two[0].state_dict() == two[1].state_dict()
    one = built(0, 1, 4)
    one.load_state_dict({})
    one.load_state_dict(two[0].state_dict())
    assert (next(iter(one))[0]["input"].numpy() == stream.pairs(12, 4)[0]).all()
