"""`corpusmill curves`: every number of the metrics arrives, in files that TensorBoard reads."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import DataError, IntegrityError, UserError
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.training_hooks.curves.event_file import NAME, crc32c, event_file, masked
from tests.made_records import made_manifest

Json = dict[str, Any]
Points = list[tuple[int, dict[str, float]]]


def slow_crc32c(message: bytes) -> int:
    """Bit by bit: division of polynomials, as the definition has it."""
    rest = 0xFFFFFFFF
    for byte in message:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        value |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 0x80:
            return value, at


def fields(message: bytes) -> list[tuple[int, Any]]:
    """Field numbers and values of one message of Protocol Buffers."""
    found: list[tuple[int, Any]] = []
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        kind = key & 7
        if kind == 0:
            value: Any
            value, at = read_varint(message, at)
        elif kind == 2:
            size, at = read_varint(message, at)
            value, at = message[at : at + size], at + size
            assert len(value) == size
        else:
            form, size = {1: ("<d", 8), 5: ("<f", 4)}[kind]
            (value,), at = struct.unpack_from(form, message, at), at + size
        found.append((key >> 3, value))
    return found


def read_events(content: bytes) -> Points:
    """What an event file holds, checksums verified."""
    events: list[list[tuple[int, Any]]] = []
    at = 0
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        parts = content[at : at + 8], content[at + 12 : at + 12 + size]
        sums = struct.unpack_from("<I", content, at + 8) + struct.unpack_from("<I", content, at + 12 + size)
        for part, checksum in zip(parts, sums, strict=True):
            plain = slow_crc32c(part)
            rotated = (plain >> 15 | plain << 17) & 0xFFFFFFFF
            assert checksum == (rotated + 0xA282EAD8) % 2**32
        events.append(fields(parts[1]))
        at += 16 + size
    assert events[0] == [(1, 0.0), (3, b"brain.Event:2")]
    points: Points = []
    for event in events[1:]:
        held = dict(event)
        assert held[1] == float(held[2])
        values = [dict(fields(value)) for number, value in fields(held[5]) if number == 1]
        points.append((held[2], {value[1].decode(): value[2] for value in values}))
    return points


def fp32(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_checksums_are_those_of_the_definition(messages: list[bytes]) -> None:
    assert crc32c(messages).tolist() == [slow_crc32c(message) for message in messages]


@pytest.mark.parametrize("many", [31, 32, 33, 200])
def test_checksums_of_many_short_messages_and_a_long_one(many: int) -> None:
    messages = [bytes([number]) * (number % 7) for number in range(many)]
    messages.insert(many // 2, b"long" * 100)
    assert crc32c(messages).tolist() == [slow_crc32c(message) for message in messages]


def test_checksums_of_known_messages() -> None:
    """Of RFC 3720, B.4."""
    assert crc32c([bytes(32), b"\xff" * 32, bytes(range(32))]).tolist() == [
        0x8A9136AA,
        0x62A8AB43,
        0x46DD794E,
    ]
    assert crc32c([b"123456789"]).tolist() == [0xE3069283]
    assert masked(np.zeros(1, np.uint32)).tolist() == [0xA282EAD8]


NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**40), 2**40)
VALUES = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), NUMBERS, max_size=4)


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), VALUES), max_size=5))
def test_every_point_is_in_the_file(points: Points) -> None:
    expected = [(step, {tag: fp32(value) for tag, value in values.items()}) for step, values in points]
    assert read_events(event_file(points)) == expected
    whole = event_file(points)
    assert all(whole.startswith(event_file(points[:n])) for n in range(len(points)))


def test_what_is_not_a_number_stays_so() -> None:
    ((_, values),) = read_events(event_file([(1, {"a": math.nan, "b": -math.inf, "c": 1e300})]))
    assert math.isnan(values["a"])
    assert (values["b"], values["c"]) == (-math.inf, math.inf)


def line(step: int, **more: Any) -> Json:
    return {
        "step": step,
        "tokens": 100 * step,
        "sequences": 4,
        "loss": 5.0 - step,
        "mtp_loss": 6.0 - step,
        "balance_loss": 1.5,
        "loss_by_source": {"web": 4.5, "code": 3.5} if step == 1 else {"web": 4.0},
        "gradient_norm": 0.5 * step,
        "learning_rate": 0.001 * step,
        "gamma": 0.25,
        "mtp_weight": 0.3,
        "max_expert_violation": 0.75,
        "experts": {"max_violation": [0.5, 0.75], "mean_violation": [0.1, 0.2], "entropy": [0.9, 0.8]},
        **more,
    }


def finish(run: Path, name: str, lines: list[Json], **more: Json) -> Path:
    """A complete training step of a made run with these lines of metrics and, by name, other JSON files."""
    steps = {**RunFolder(run).current().steps, name: name.ljust(64, "0")}
    RunFolder(run).write_current(Pointer("made", steps))
    step = RunFolder(run).current_step(name)
    assert step is not None
    attempt = step.attempt(0, 1)
    (attempt.folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    for file, content in more.items():
        (attempt.folder / f"{file}.json").write_text(json.dumps(content))
    receipt = attempt.commit(UnitResult(0))
    step.write_manifest(made_manifest([receipt], name, steps[name], content=f"content of {name}"))
    return step.data


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A made run of two training steps."""
    held_out = {"held_out": {"*": 2.5, "web": 2.25, "empty": None}}
    scores = {"model": {"*": {"bits_per_byte": 1.5}, "empty": {"bits_per_byte": None}}}
    finish(
        tmp_path / "run",
        "train",
        [line(1), line(2, **held_out), line(3)],
        routing={"layers": ["layers.1", "mtp.0"]},
        evaluation={"scores": scores},
    )
    finish(
        tmp_path / "run", "long_context.0", [line(1, novel=7, needle={"64": 0.5}, depths=[1, 2], note="x")]
    )
    return tmp_path / "run"


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> Json:
    app(["curves", *map(str, arguments), "--json"], standalone_mode=False)
    found: Json = json.loads(capsys.readouterr().out)
    return found


def test_every_number_becomes_a_curve(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, run, tmp_path / "out")
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*fe*")}
    assert files == {f"train/{NAME}", f"long_context.0/{NAME}"}
    points = read_events((tmp_path / "out" / "train" / NAME).read_bytes())
    assert [step for step, _ in points] == [1, 2, 3]
    second = {tag: pytest.approx(value, rel=1e-6) for tag, value in points[1][1].items()}
    assert second == {
        "progress/step": 2,
        "progress/tokens": 200,
        "optimiser/sequences": 4,
        "loss/next_token": 3.0,
        "loss/mtp": 4.0,
        "loss/balance": 1.5,
        "loss_by_source/web": 4.0,
        "optimiser/gradient_norm": 1.0,
        "optimiser/learning_rate": 0.002,
        "optimiser/gamma": 0.25,
        "optimiser/mtp_weight": 0.3,
        "experts_max_violation/*": 0.75,
        "experts_max_violation/layers.1": 0.5,
        "experts_max_violation/mtp.0": 0.75,
        "experts_mean_violation/layers.1": 0.1,
        "experts_mean_violation/mtp.0": 0.2,
        "experts_entropy/layers.1": 0.9,
        "experts_entropy/mtp.0": 0.8,
        "held_out_bits_per_byte/*": 2.5,
        "held_out_bits_per_byte/web": 2.25,
    }
    assert "loss_by_source/code" in points[0][1]
    assert points[2][1]["final_bits_per_byte/model/*"] == 1.5
    assert not [tag for _, values in points for tag in values if tag.endswith("/empty")]
    ((_, extended),) = read_events((tmp_path / "out" / "long_context.0" / NAME).read_bytes())
    named = {tag: extended[tag] for tag in ("other/novel", "needle/64", "depths/0", "depths/1")}
    assert named == {"other/novel": 7, "needle/64": 0.5, "depths/0": 1, "depths/1": 2}
    assert extended["experts_entropy/1"] == fp32(0.8)  # by number where no names are written
    assert not [tag for tag in extended if "note" in tag]
    assert found["runs"]["train"] == {
        "points": 3,
        "curves": 22,
        "last": 3,
        "bytes": (tmp_path / "out" / "train" / NAME).stat().st_size,
    }


def test_one_step_by_tokens_and_the_same_bytes_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = run / "steps" / "train"
    version = next(train.iterdir())
    files = []
    for number, path in enumerate((train, version, version / "data")):
        found = said(capsys, path, tmp_path / str(number), "--by", "tokens")
        assert list(found["runs"]) == ["train"]
        files.append((tmp_path / str(number) / "train" / NAME).read_bytes())
    assert files[0] == files[1] == files[2]
    assert [step for step, _ in read_events(files[0])] == [100, 200, 300]


def test_what_cannot_be_drawn_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare"
    RunFolder(bare).write_current(Pointer("made"))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_text("")
    for arguments, message in (
        ((tmp_path / "gone", tmp_path / "out"), "no such folder"),
        ((bare, tmp_path / "out"), "no finished training yet"),
        ((tmp_path / "there", tmp_path / "out"), "neither a run"),
        ((run, tmp_path / "there"), "already there"),
    ):
        with pytest.raises(UserError, match=message):
            said(capsys, *arguments)
    written = next((run / "steps" / "train").iterdir()) / "data"
    copy = tmp_path / "copy"  # outside of the run, where nothing tells that it changed
    shutil.copytree(written, copy)
    metrics = copy / "metrics.jsonl"
    whole = metrics.read_text()
    for content, message in (
        ("", "empty"),
        (whole + "{", r"metrics\.jsonl:4: not a line"),
        (whole + '{"step": 4}', r"metrics\.jsonl:4: not a line"),
        (whole + '{"step": 4.5, "tokens": 1}', r"metrics\.jsonl:4: step 4\.5"),
        (whole + whole, "step does not grow"),
    ):
        metrics.write_text(content)
        with pytest.raises(DataError, match=message):
            said(capsys, copy, tmp_path / "out")
    (written / "metrics.jsonl").write_text(whole[:-1])
    with pytest.raises(IntegrityError, match=r"metrics\.jsonl: .* bytes, its receipt says .* --repair"):
        said(capsys, run, tmp_path / "out")
    (written / "metrics.jsonl").unlink()
    with pytest.raises(IntegrityError, match=r"metrics\.jsonl: missing"):
        said(capsys, run, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_tensorboard_reads_the_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard", reason="reads the file with TensorBoard, of the tensorboard extra")
    module = "tensorboard.backend.event_processing.plugin_event_multiplexer"
    tensors: Any = importlib.import_module("tensorboard.util.tensor_util")
    said(capsys, run, tmp_path / "out")
    reader = importlib.import_module(module).EventMultiplexer(tensor_size_guidance={"tensors": 0})
    reader.AddRunsFromDirectory(str(tmp_path / "out"))
    reader.Reload()
    assert set(reader.Runs()) == {"train", "long_context.0"}
    for name in reader.Runs():
        found: dict[int, dict[str, float]] = {}
        for tag in reader.Runs()[name]["tensors"]:
            assert reader.SummaryMetadata(name, tag).plugin_data.plugin_name == "scalars"
            for event in reader.Tensors(name, tag):
                value = float(tensors.make_ndarray(event.tensor_proto))
                found.setdefault(event.step, {})[tag] = value
        assert sorted(found.items()) == read_events((tmp_path / "out" / name / NAME).read_bytes())
