"""The code that a step's bytes depend on: all that its modules name, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.contract import rooms
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.run import code_version
from corpusmill.pipelines.run.code_version import code_digest, modules_of

STAGES = [
    f"corpusmill.{rooms.stage_folder(room).replace('/', '.')}.{name}"
    for room in rooms.ROOMS
    for name in rooms.names(room)
]
# Modules that import others by a name made while running; none of it is code of ours that decides bytes
# without being named in a step's key.
BY_NAME = {
    "mixtures/repository/language.py",
    "pipelines/exports/find.py",
    "pipelines/inspection/doctor.py",
    "pipelines/recipe/registry.py",
    "pipelines/recipe/sections.py",
    "pipelines/run/operators/job.py",
    "pipelines/run/operators/operator.py",
    "pipelines/sources/datatrove_blocks/block_class.py",
    "pipelines/text/generate_cluster_table.py",
    "pipelines/text/generate_unicode_table.py",
    "pipelines/text/grammars.py",
    "tokenizer/export/exported.py",
    "training_hooks/export/verify.py",
}


def test_a_reader_is_no_part_of_training() -> None:
    training = modules_of("corpusmill.training_hooks.train")
    assert "corpusmill.training_hooks.trainer.loop" in training
    assert not [name for name in training if name.startswith("corpusmill.pipelines.sources")]
    assert not [name for name in modules_of("corpusmill.filters.gopher_quality") if ".c4" in name]
    assert "corpusmill.pipelines.sources.warc" not in modules_of("corpusmill.pipelines.sources.jsonl")


def test_what_is_imported_within_functions_counts() -> None:
    found = modules_of("corpusmill.filters.gopher_quality")
    assert "corpusmill.filters.kernels.gopher_quality" in found
    assert "corpusmill.pipelines.contract.documents" in found


@pytest.mark.parametrize("module", STAGES)
def test_every_module_that_a_stage_loads_is_covered_unless_it_cannot_change_bytes(module: str) -> None:
    covered = modules_of(module)
    for name in covered:
        assert not name.startswith(code_version._NOT_OF_BYTES), name
    assert module in covered
    assert len(code_digest(module)) == 64


def test_every_module_loaded_when_stages_are_imported_is_covered() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {STAGES!r}:\n    importlib.import_module(name)\n"
        "print(*(n for n in sys.modules if n.startswith('corpusmill.') and n.count('.') > 2))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    covered = frozenset().union(*map(modules_of, STAGES))
    packages = {name.rpartition(".")[0] for name in covered}
    loaded = set(done.stdout.split())
    assert not {
        name for name in loaded - covered - packages if not name.startswith(code_version._NOT_OF_BYTES)
    }


def test_modules_found_by_a_made_name_are_known() -> None:
    found = {
        path.relative_to(rooms.ROOT).as_posix()
        for room in rooms.ROOMS
        for path in (rooms.ROOT / room).resolve().rglob("*.py")
        for path in [rooms.ROOT / room / path.relative_to((rooms.ROOT / room).resolve())]
        if re.search(r"\bimport_module\(", path.read_text("utf-8"))
    }
    assert found == BY_NAME


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes modules of a made-up corpusmill, which the digests are taken of."""

    def forget() -> None:
        for cached in (code_version._digest, code_version._file, code_version._named):
            cached.cache_clear()

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        forget()

    monkeypatch.setattr(code_version, "ROOT", tmp_path)
    yield write
    forget()


def test_a_digest_changes_with_all_that_is_named_however_deep(tree: Callable[[str, str], None]) -> None:
    tree("filters/a.py", "def f():\n    from corpusmill.filters.kernels import b, c\n")
    tree("filters/kernels/b.py", "CODE = 'from corpusmill.dedup.d import x; x()'\n")
    tree("filters/kernels/c.py", "")
    tree("dedup/d.py", "from corpusmill.filters import a\nfrom corpusmill.pipelines.cli import shown\n")
    tree("dedup/other.py", "")
    tree("pipelines/cli/shown.py", "")
    first = code_digest("corpusmill.filters.a")
    assert modules_of("corpusmill.filters.a") == {
        f"corpusmill.{name}" for name in ("filters.a", "filters.kernels.b", "filters.kernels.c", "dedup.d")
    }
    for name in ("dedup/other.py", "pipelines/cli/shown.py", "filters/notes.txt"):
        tree(name, "changed")
        assert code_digest("corpusmill.filters.a") == first
    for name in ("filters/kernels/c.py", "dedup/d.py", "filters/kernels/weights.json"):
        tree(name, "changed")
        assert code_digest("corpusmill.filters.a") != first
        first = code_digest("corpusmill.filters.a")


def test_a_module_that_is_not_there_is_told(tree: Callable[[str, str], None]) -> None:
    with pytest.raises(CorpusmillError, match=r"no module corpusmill\.filters\.none"):
        code_digest("corpusmill.filters.none")
