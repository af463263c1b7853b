"""`corpusmill schedule`: figures, pictures, faults of the user; no torch."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.training_hooks.schedules.drawing import as_svg
from corpusmill.training_hooks.schedules.methods import METHODS
from corpusmill.training_hooks.schedules.simulate import UNIT, simulate

NAMESPACE = "{http://www.w3.org/2000/svg}"


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    app(["schedule", *arguments, "--json"], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def test_all_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "--ranks", "4", "--chunks", "10")
    assert [one["method"] for one in found] == list(METHODS)
    for one in found:
        assert one["bubble"] == pytest.approx([one["stated_bubble"]] * 2)
        assert one["makespan"] <= one["makespan_blocking"]
        assert len(one["actions"]) == 4
    app(["schedule", "--ranks", "4", "--chunks", "10"], standalone_mode=False)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:5]] == list(METHODS)


@pytest.mark.parametrize("place", ["/proc/version", "no/folder.svg", "."])
def test_a_picture_that_cannot_be_written_is_told(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^{place}: cannot be written \\("):
        app(["schedule", "dualpipe", "--ranks", "4", "--chunks", "8", "--svg", place], standalone_mode=False)


def test_one_is_printed_and_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "a.svg"
    app(
        ["schedule", "dualpipe", "--ranks", "2", "--chunks", "4", "--svg", str(picture)],
        standalone_mode=False,
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "rank 0: F0.0 F1.2 F0.1 B1.2 F1.3&B0.0 B1.3 I0.1 W0.1"
    root = ET.fromstring(picture.read_text("utf-8"))
    titles = [title.text for title in root.iter(f"{NAMESPACE}title")]
    # Two boxes for passes side by side.
    assert titles.count("F1.3&B0.0: 5 to 8") == 2
    assert len(titles) == 2 * 9


@pytest.mark.parametrize("method", METHODS)
def test_boxes_of_a_picture_lie_in_it_and_not_on_one_another(method: str) -> None:
    timeline = simulate(METHODS[method](4, 12), lambda _, action: UNIT.of(action))
    root = ET.fromstring(as_svg(timeline, width=700))
    tall = float(root.attrib["viewBox"].split()[3])
    for box in root.iter(f"{NAMESPACE}rect"):  # those of the legend too
        assert float(box.attrib.get("x", 0)) + float(box.attrib["width"]) <= 700
        assert float(box.attrib.get("y", 0)) + float(box.attrib["height"]) <= tall
    boxes: dict[str, list[tuple[float, float]]] = {}
    for box in root.iter(f"{NAMESPACE}rect"):
        if box.find(f"{NAMESPACE}title") is not None:
            start = float(box.attrib["x"])
            boxes.setdefault(box.attrib["y"], []).append((start, start + float(box.attrib["width"])))
    for row in boxes.values():
        ends = [0.0, *(end for _, end in row)]
        assert all(start >= end - 0.21 for (start, _), end in zip(row, ends, strict=False))
        assert row[-1][1] <= 700


def test_faults_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, words in (
        (("dualpipe", "--ranks", "3"), "even number of ranks, got 3"),
        (("dualpipe", "--chunks", "14"), "at least 16, got 14"),
        (("gpipe",), "no schedule 'gpipe'; there are 1f1b, zb1p"),
        (("--svg", str(tmp_path / "a.svg")), "--svg draws one schedule"),
        (("1f1b", "--weight", "2"), "a part of backward"),
        (("--ranks", "7"), "even number of ranks, got 7; or name another schedule alone, such as 1f1b"),
        (("--forward", "inf"), "forward must be a positive number, got inf"),
        (("--forward", "nan"), "forward must be a positive number, got nan"),
        (("1f1b", "--overlapped", "inf"), "overlapped must be a positive number, got inf"),
        (("1f1b", "--overlapped", "1"), "no less than one of them alone"),
        (("1f1b", "--ranks", "1001", "--chunks", "1000"), "1,000 chunks on 1,001 ranks are more than"),
        (("--ranks", "1001", "--chunks", "1000"), "take fewer chunks or ranks$"),
    ):
        with pytest.raises(UserError, match=words):
            app(["schedule", *arguments], standalone_mode=False)
    assert not list(tmp_path.iterdir())


def test_no_command_of_planning_needs_torch() -> None:
    code = (
        "import sys\nfrom corpusmill.pipelines.cli.main import app\n"
        "app(['schedule', '--ranks', '2', '--chunks', '4'], standalone_mode=False)\n"
        "import corpusmill.training_hooks.expert_placement.place\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_of_the_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text("utf-8")
    app(["schedule"], standalone_mode=False)
    assert f"$ corpusmill schedule\n{capsys.readouterr().out}```" in page
