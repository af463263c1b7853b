"""The page on using shards: every block runs; those that need a library are skipped where it is missing."""

from __future__ import annotations

import gc
import importlib.util
import multiprocessing
import re
import sys
from pathlib import Path

import pytest

from tests.oracles.concatenated_shards import made_documents, write_concatenated

PAGE = Path(__file__).parents[2] / "docs" / "use_the_shards.md"
MODULES = {"megatron-core": "megatron.core"}
PRINTED = {
    "A loop of your own": ["tensor(True)", "True", "True"],
    "Hugging Face Trainer": ["6 48"],
    "Hugging Face datasets": ["True 32"],
    "torchtitan": ["torch.Size([4, 16]) torch.Size([4, 16]) torch.Size([4, 16])", "torch.Size([4, 16])"],
    "Megatron": ["400 1"],
    "Grain": ["(8, 16)", "(8, 16)"],
}


def sections() -> dict[str, tuple[list[str], list[str]]]:
    """By heading: the libraries that it needs, and its blocks."""
    _, *parts = re.split(r"^## (.+)\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        needs = re.findall(r"^`pip install (.+)`$", text, re.MULTILINE)
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        found[heading] = (" ".join(needs).split(), blocks)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shards of 200 documents each, rows of 64 tokens; the process stands beside them."""
    made = tmp_path / "shards"
    made.mkdir()
    for number in range(2):
        documents = made_documents(200, number)
        names = [(1000 * number + at, 0) for at in range(len(documents))]
        write_concatenated(
            made / f"shard-{number:05d}.arrow", documents, length=64, names=names, partition=number
        )
    monkeypatch.chdir(tmp_path)
    return made


def run(heading: str, folder: Path, names: dict[str, object] | None = None) -> dict[str, object]:
    names = names or {"folder": str(folder), "shards": sorted(folder.glob("*.arrow"))}
    for block in sections()[heading][1]:
        exec(compile(block, f"docs/{PAGE.name}", "exec"), names)
    return names


def drop(names: dict[str, object]) -> None:
    """End the workers of the loaders among `names`, which the functions defined there keep alive."""
    names.clear()
    gc.collect()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_loop_and_what_goes_on_from_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    names = run("A loop of your own", folder)
    assert capsys.readouterr().out.splitlines() == PRINTED["A loop of your own"]
    run("Stop and go on", folder, names)
    assert capsys.readouterr().out.splitlines() == ["True"]
    drop(names)
    assert not multiprocessing.active_children()


@pytest.mark.filterwarnings("ignore")  # libraries warn of their own parts
@pytest.mark.parametrize("heading", [one for one, (needs, _) in sections().items() if needs])
def test_other_trainers_run_on_shards(
    folder: Path, heading: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", *sections()[heading][0]):
        module = MODULES.get(name, name)
        if importlib.util.find_spec(module.split(".")[0]) is None:
            pytest.skip(f"{name} is not installed")
    monkeypatch.setattr("sys.path", [*sys.path])  # to which megatron-core adds a folder
    drop(run(heading, folder))
    printed = [line for line in capfd.readouterr().out.splitlines() if line in PRINTED[heading]]
    assert printed == PRINTED[heading]


def test_every_block_is_run() -> None:
    assert {heading for heading, (_, blocks) in sections().items() if blocks} == {*PRINTED, "Stop and go on"}
