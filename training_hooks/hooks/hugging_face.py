"""Token shards in Hugging Face's Trainer (transformers 5): `ShardTrainer(train_dataset=ShardDataset(...))`.

The dataset yields the batches of this process, labels shifted already; a checkpoint of the Trainer holds the
loader's state, so that resuming reads nothing again and goes on with other numbers of processes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.loading.torch_dataset import ShardDataLoader, ShardDataset
from corpusmill.training_hooks.trainer.require_torch import require_torch

require_torch()
STATE = "corpusmill_loader.json"
"""The file of a checkpoint that holds the loader's state."""


class _Shifted(ShardDataLoader):
    """Gives models their labels as `shift_labels` too: without these they shift labels themselves."""

    def __iter__(self) -> Any:
        return ({**batch, "shift_labels": batch["labels"]} for batch in super().__iter__())


class ShardTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose `train_dataset` is a `ShardDataset` for this process (`replica`, `replicas`).

    `max_steps` says how long to train, `dataloader_num_workers` how many workers read. Raises ValueError for
    another kind of dataset and for a `per_device_train_batch_size` that is not the rows of its batches.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not isinstance(self.train_dataset, ShardDataset):
            raise ValueError("ShardTrainer trains on a ShardDataset; give one as `train_dataset`")
        rows = self.train_dataset.rows
        asked = self.args.per_device_train_batch_size
        if asked != rows:
            raise ValueError(
                f"per_device_train_batch_size is {asked}, but this process has {rows} rows of every batch of "
                "the dataset: give the same"
            )
        self.args.ignore_data_skip = True  # the state says where to go on
        self.add_callback(_KeepState(self.train_dataset))

    def get_train_dataloader(self) -> ShardDataLoader:
        """Batches from the position that was loaded last."""
        return _Shifted(
            self.train_dataset,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory and self.args.device.type == "cuda",
            persistent_workers=self.args.dataloader_persistent_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
        )

    def train(self, resume_from_checkpoint: str | bool | None = None, *rest: Any, **options: Any) -> Any:
        """As Trainer's; from a checkpoint with the position of its data. Raises UserError where the
        checkpoint has none, and ValueError where it is of another stream."""
        folder = resume_from_checkpoint
        if folder is True:
            folder = get_last_checkpoint(self.args.output_dir)
        if folder:
            path = Path(str(folder)) / STATE
            if not path.is_file():
                raise UserError(f"{path} is missing: the checkpoint was written by another Trainer")
            self.train_dataset.load_state_dict(json.loads(path.read_text("utf-8")))
        return super().train(resume_from_checkpoint, *rest, **options)


class _KeepState(TrainerCallback):  # type: ignore[misc]
    def __init__(self, dataset: ShardDataset) -> None:
        self._dataset = dataset

    def on_save(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Put the position beside the model's checkpoint."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (folder / STATE).write_text(json.dumps(self._dataset.state_dict()), encoding="utf-8")
