"""Layouts: every rank has a place, every row a rank, every number of the model its holders."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.distributed.layout import Layout
from corpusmill.training_hooks.distributed.passes import with_padding_rows
from corpusmill.training_hooks.distributed.pieces import WholeModel, first_holder, pieces, ranges
from corpusmill.training_hooks.distributed.ranks_of_task import meeting_of
from corpusmill.training_hooks.launch.work import Meeting
from corpusmill.training_hooks.model.config import preset
from corpusmill.training_hooks.model.moe import Experts
from corpusmill.training_hooks.model.transformer import Transformer
from corpusmill.training_hooks.train import Train
from corpusmill.training_hooks.trainer.options import Parallel
from corpusmill.training_hooks.trainer.step import Batch

LAYOUTS = [Layout(), Layout(1, 4, 1), Layout(2, 1, 1), Layout(2, 3, 4), Layout(4, 1, 2)]
CONFIG = dataclasses.replace(preset("v3-tiny", 64, 1), hidden_size=32, num_hidden_layers=2)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_places_and_ranks_are_one_to_one(layout: Layout) -> None:
    places = [layout.place(rank) for rank in range(layout.world)]
    assert len(set(places)) == layout.world == layout.pipeline * layout.data * layout.experts
    assert [layout.rank(*place) for place in places] == list(range(layout.world))
    with pytest.raises(ValueError, match=f"rank {layout.world} of"):
        layout.place(layout.world)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("count", [1, 3, 8, 13])
def test_every_row_is_one_reader_s(layout: Layout, count: int) -> None:
    for pipeline in range(layout.pipeline):
        rows: list[int] = []
        for rank in range(layout.world):
            place = layout.place(rank)
            if place.pipeline == pipeline:
                mine = range(count)[layout.rows(count, place)]
                assert len(mine) in (count // layout.readers, layout.most_rows(count))
                rows += mine
        assert rows == list(range(count))


def test_bad_layouts_are_refused_with_the_cure() -> None:
    with pytest.raises(
        UserError, match=r"6 ranks .* pipeline of 2 times 2 .* give a multiple of 4 as `ranks`"
    ):
        Layout.of(6, pipeline=2, experts=2)
    with pytest.raises(UserError, match="every size is at least 1"):
        Layout(0, 1, 1)
    with pytest.raises(
        UserError, match=r"8 experts .* among 3 ranks: set `parallel.experts` to a divisor of 8"
    ):
        Layout(1, 1, 3).require_experts(8)
    assert Layout.of(12, pipeline=2, experts=3) == Layout(2, 2, 3)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_ranges_are_all_of_the_model_once(layout: Layout) -> None:
    whole = WholeModel.of(CONFIG)
    model = Transformer(CONFIG)
    assert whole.parameters == {name: p.shape for name, p in model.named_parameters()}
    assert {**whole.parameters, **whole.buffers} == {n: t.shape for n, t in model.state_dict().items()}
    assert [model.get_submodule(name) for name in whole.gates] == model.gates()
    last = layout.pipeline - 1
    holders = {name: frozenset({0, last} if "embed" in name else {last}) for name in whole.parameters}
    every = ranges(whole, layout, holders.__getitem__)
    for name, shape in whole.parameters.items():
        found = [one for one in every if one.name == name]
        assert [one.start for one in found] == [0, *(one.stop for one in found[:-1])]
        assert found[-1].stop == math.prod(shape)
        ranks = [rank for one in found for rank in one.ranks]
        wanted = [r for r in range(layout.world) if layout.place(r).pipeline in holders[name]]
        assert sorted(ranks) == wanted
        assert len(found) == (layout.experts if ".experts." in name and "shared" not in name else 1)
        assert found[0].ranks[0] == first_holder(layout, holders[name])


def test_a_part_that_is_not_the_layout_s_is_refused() -> None:
    layout = Layout(1, 1, 2)
    model = Transformer(CONFIG)
    every = ranges(WholeModel.of(CONFIG), layout, lambda name: frozenset([0]))
    with pytest.raises(
        ValueError, match=r"rank 1 has \d+ numbers of .*experts.*, and \d+ by the layout; 4 param"
    ):
        pieces(model, every, 1)
    for module in model.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, Experts):
                n, _, width = child.gate_up_proj.shape
                setattr(module, name, Experts(n // 2, width, child.down_proj.shape[2]))
    found = pieces(model, every, 1)
    assert [piece.range.name for piece in found] == list(dict(model.named_parameters()))
    assert all(piece.parameter.numel() == piece.range.stop - piece.range.start for piece in found)


def test_rows_of_padding_have_no_source() -> None:
    batch = Batch(np.full((2, 3), 7), np.zeros((2, 3), np.int64), pad_id=2)
    filled = with_padding_rows(batch, 4)
    assert filled.tokens.tolist() == [[7] * 3] * 2 + [[2] * 3] * 2
    assert filled.codes.tolist() == [[0] * 3] * 2 + [[-1] * 3] * 2
    assert with_padding_rows(batch, 2) is batch


def test_ranks_meet_under_any_path_and_all_groups_wait_alike(tmp_path: Path) -> None:
    meeting = tmp_path / "a folder, 100% nötig" / "meeting"
    meeting.parent.mkdir()
    with meeting_of(Meeting(meeting.as_uri(), 0, 1, 7.0), Parallel(), "cpu") as groups:
        assert meeting.is_file()
        assert groups.seconds == 7.0


def test_a_recipe_whose_model_does_not_divide_is_refused_before_its_data_is_made() -> None:
    with pytest.raises(ValidationError, match="3 ranks do not divide into a pipeline of 1 times 2 ranks"):
        Train(ranks=3, parallel=Parallel(experts=2))
    with pytest.raises(ValidationError, match="8 experts of a layer do not divide among 3 ranks"):
        Train(ranks=3, parallel=Parallel(experts=3))
    with pytest.raises(ValidationError, match="3 sequences a rank do not fill 4 micro-batches"):
        Train(ranks=2, parallel=Parallel(pipeline=2), batch_size=3)
    with pytest.raises(ValidationError, match="3 layers cannot be cut into 4096 stages"):
        Train(ranks=4096, parallel=Parallel(pipeline=4096))
