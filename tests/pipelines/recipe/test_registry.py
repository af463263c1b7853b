"""Stages by name: built-in ones, plugins, and the digests of their code."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.contract import closest, plugins, rooms
from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.contract.stage import Deduplicate, Filter, Map, Regroup, Stage, snake_case
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.run.code_version import code_digest
from corpusmill.pipelines.sources.reader import Reader

ROOT = Path(registry.__file__).parents[1]


def filter_file(folder: Path, name: str, class_name: str, body: str = "") -> Path:
    path = folder / name
    text = f"""
        from corpusmill.pipelines.contract.stage import Filter
        {body}
        class {class_name}(Filter):
            at_least: int = 1
            def score(self, docs): return {{}}
            def judge(self, scores): raise NotImplementedError
    """
    path.write_text("\n".join(line.removeprefix("        ") for line in text.split("\n")))
    return path


@pytest.mark.parametrize("room", rooms.ROOMS)
def test_every_name_is_a_stage_of_that_name(room: str) -> None:
    for name in rooms.names(room):
        stage = registry.find(room, name)
        assert issubclass(stage, Stage)
        assert (stage.name, stage.__name__) == (name, rooms.class_name(name))
        assert registry.room_of(stage) == room
        assert snake_case(rooms.class_name(name)) == name
        assert stage.__doc__


def test_kinds_stand_where_recipes_expect_them() -> None:
    assert registry.find("dedup", "exact") is registry.find("dedup", "exact")
    assert issubclass(registry.find("dedup", "exact"), Deduplicate)
    assert issubclass(registry.find("pipelines", "jsonl"), Reader)
    assert issubclass(registry.find_step("gopher_quality"), Map)
    assert issubclass(registry.find_step("repository_order"), Regroup)
    assert issubclass(registry.find_step("extract"), Map)
    assert "reader" not in rooms.names("pipelines")
    steps = registry.step_names()
    assert {"gopher_quality", "repository_order", "extract"} <= set(steps)
    assert not {"jsonl", "mixture", "draw", "exact"} & set(steps)


def test_listing_imports_nothing() -> None:
    code = (
        "import sys\nfrom corpusmill.pipelines.contract import rooms\nbefore = set(sys.modules)\n"
        "assert all(rooms.names(room) for room in rooms.ROOMS)\nprint(set(sys.modules) - before)"
    )
    env = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip() == "set()"


def test_unknown_names_give_the_nearest_and_all() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown stage `exat`; did you mean `exact`\? \(there are: .*minhash"
    ):
        registry.find("dedup", "exat")
    with pytest.raises(RecipeError, match="did you mean `gopher_quality`"):
        registry.find_step("gopher_qualty")
    with pytest.raises(RecipeError, match="`minhash` is a stage of dedup, not a step of a source"):
        registry.find_step("minhash")
    with pytest.raises(RecipeError, match="`mixture` is a stage of mixtures, not a step of a source"):
        registry.find_step("mixture")
    with pytest.raises(CorpusmillError, match="no room 'attic'"):
        rooms.names("attic")
    assert closest.nearest("x", []) == "there are none"


def test_a_module_without_its_class_is_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rooms.stage_files("filters"), "kernels", tmp_path)
    with pytest.raises(CorpusmillError, match="must define the stage class Kernels") as caught:
        registry.find("filters", "kernels")
    assert not isinstance(caught.value, RecipeError)


def test_plugins_are_found_by_the_names_of_their_classes(tmp_path: Path) -> None:
    path = filter_file(tmp_path, "my-own.py", "LongLines")
    assert plugins.register_plugin(path) == ["long_lines"]
    stage = registry.find_step("long_lines")
    assert issubclass(stage, Filter)
    assert stage.__module__ == "corpusmill_plugin_my-own"
    assert registry.room_of(stage) == "corpusmill_plugin_my-own"
    assert plugins.plugins() == [path]
    assert "long_lines" in registry.step_names()
    assert plugins.plugin_stages(Filter) == {"long_lines": stage}
    assert plugins.plugin_stages(Reader) == {}
    made = stage.model_validate({"at_least": 3})
    assert pickle.loads(pickle.dumps(made)) == made
    plugins.clear_plugins()
    with pytest.raises(RecipeError, match="unknown step"):
        registry.find_step("long_lines")


def test_the_same_bytes_are_executed_once_and_other_bytes_again(tmp_path: Path) -> None:
    path = filter_file(tmp_path, "again.py", "LongLines")
    plugins.use_plugins([path])
    first = registry.find_step("long_lines")
    digest = code_digest("corpusmill_plugin_again")
    assert (
        plugins.plugin_file_digest("corpusmill_plugin_again") == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    plugins.use_plugins([path])
    assert registry.find_step("long_lines") is first
    filter_file(tmp_path, "again.py", "LongLines", "NEW = 1")
    plugins.use_plugins([path])
    assert registry.find_step("long_lines") is not first
    assert code_digest("corpusmill_plugin_again") != digest


def test_what_a_plugin_imports_is_not_its_own(tmp_path: Path) -> None:
    path = filter_file(tmp_path, "own.py", "LongLines", "from corpusmill.dedup.exact import Exact")
    assert plugins.register_plugin(path) == ["long_lines"]


def test_plugins_that_clash_or_fail_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(RecipeError, match="no plugin file"):
        plugins.register_plugin(tmp_path / "none.py")
    with pytest.raises(RecipeError, match="the name `minhash` is taken by a stage of dedup; rename it"):
        plugins.register_plugin(filter_file(tmp_path, "a.py", "Minhash"))
    plugins.register_plugin(filter_file(tmp_path, "b.py", "LongLines"))
    with pytest.raises(RecipeError, match="both define `long_lines`; rename one"):
        plugins.register_plugin(filter_file(tmp_path, "c.py", "LongLines"))
    with pytest.raises(RecipeError, match="same file name; rename one"):
        plugins.register_plugin(filter_file(tmp_path / "other", "b.py", "Others"))
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(RecipeError, match="defines no stage"):
        plugins.register_plugin(empty)
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\ndef f(:\n")
    with pytest.raises(RecipeError, match=r"broken\.py:2 fails on import: SyntaxError"):
        plugins.register_plugin(broken)
    broken.write_text("def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(RecipeError, match=r"broken\.py:2 fails on import: ZeroDivisionError") as caught:
        plugins.register_plugin(broken)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "corpusmill_plugin_broken" not in sys.modules
    assert plugins.plugins() == [tmp_path / "b.py"]
