"""Stages by name: built-in ones, plugins, and the digests of their code."""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines import registry
from corpusmill.pipelines.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.stage import Deduplicate, Filter, Map, Regroup, Stage, snake_case

ROOT = Path(registry.__file__).parents[1]


def filter_file(folder: Path, name: str, class_name: str, body: str = "") -> Path:
    path = folder / name
    text = f"""
        from corpusmill.pipelines.stage import Filter
        {body}
        class {class_name}(Filter):
            at_least: int = 1
            def score(self, docs): return {{}}
            def judge(self, scores): raise NotImplementedError
    """
    path.write_text("\n".join(line.removeprefix("        ") for line in text.split("\n")))
    return path


@pytest.mark.parametrize("room", registry.ROOMS)
def test_every_name_is_a_stage_of_that_name(room: str) -> None:
    for name in registry.names(room):
        stage = registry.find(room, name)
        assert issubclass(stage, Stage)
        assert (stage.name, stage.__name__) == (name, registry.class_name(name))
        assert registry.room_of(stage) == room
        assert snake_case(registry.class_name(name)) == name
        assert stage.__doc__


def test_kinds_stand_where_recipes_expect_them() -> None:
    assert registry.find("dedup", "exact") is registry.find("dedup", "exact")
    assert issubclass(registry.find("dedup", "exact"), Deduplicate)
    assert issubclass(registry.find("pipelines", "jsonl"), Reader)
    assert issubclass(registry.find_step("gopher_quality"), Map)
    assert issubclass(registry.find_step("repository_order"), Regroup)
    assert issubclass(registry.find_step("extract"), Map)
    assert "reader" not in registry.names("pipelines")
    steps = registry.step_names()
    assert {"gopher_quality", "repository_order", "extract"} <= set(steps)
    assert not {"jsonl", "mixture", "draw", "exact"} & set(steps)


def test_listing_imports_nothing() -> None:
    code = (
        "import sys\nfrom corpusmill.pipelines import registry\nbefore = set(sys.modules)\n"
        "assert all(registry.names(room) for room in registry.ROOMS)\nprint(set(sys.modules) - before)"
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
        registry.names("attic")
    assert registry.nearest("x", []) == "there are none"


def test_a_module_without_its_class_is_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._files("filters"), "kernels", tmp_path)
    with pytest.raises(CorpusmillError, match="must define the stage class Kernels") as caught:
        registry.find("filters", "kernels")
    assert not isinstance(caught.value, RecipeError)


def test_plugins_are_found_by_the_names_of_their_classes(tmp_path: Path) -> None:
    path = filter_file(tmp_path, "my-own.py", "LongLines")
    assert registry.register_plugin(path) == ["long_lines"]
    stage = registry.find_step("long_lines")
    assert issubclass(stage, Filter)
    assert stage.__module__ == "corpusmill_plugin_my-own"
    assert registry.room_of(stage) == "corpusmill_plugin_my-own"
    assert registry.plugins() == [path]
    assert "long_lines" in registry.step_names()
    assert registry.plugin_stages(Filter) == {"long_lines": stage}
    assert registry.plugin_stages(Reader) == {}
    made = stage.model_validate({"at_least": 3})
    assert pickle.loads(pickle.dumps(made)) == made
    registry.clear_plugins()
    with pytest.raises(RecipeError, match="unknown step"):
        registry.find_step("long_lines")


def test_the_same_bytes_are_executed_once_and_other_bytes_again(tmp_path: Path) -> None:
    path = filter_file(tmp_path, "again.py", "LongLines")
    registry.use_plugins([path])
    first = registry.find_step("long_lines")
    digest = registry.source_digest("corpusmill_plugin_again")
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    registry.use_plugins([path])
    assert registry.find_step("long_lines") is first
    filter_file(tmp_path, "again.py", "LongLines", "NEW = 1")
    registry.use_plugins([path])
    assert registry.find_step("long_lines") is not first
    assert registry.source_digest("corpusmill_plugin_again") != digest


def test_what_a_plugin_imports_is_not_its_own(tmp_path: Path) -> None:
    path = filter_file(tmp_path, "own.py", "LongLines", "from corpusmill.dedup.exact import Exact")
    assert registry.register_plugin(path) == ["long_lines"]


def test_plugins_that_clash_or_fail_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(RecipeError, match="no plugin file"):
        registry.register_plugin(tmp_path / "none.py")
    with pytest.raises(RecipeError, match="the name `minhash` is taken by a stage of dedup; rename it"):
        registry.register_plugin(filter_file(tmp_path, "a.py", "Minhash"))
    registry.register_plugin(filter_file(tmp_path, "b.py", "LongLines"))
    with pytest.raises(RecipeError, match="both define `long_lines`; rename one"):
        registry.register_plugin(filter_file(tmp_path, "c.py", "LongLines"))
    with pytest.raises(RecipeError, match="same file name; rename one"):
        registry.register_plugin(filter_file(tmp_path / "other", "b.py", "Others"))
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(RecipeError, match="defines no stage"):
        registry.register_plugin(empty)
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\ndef f(:\n")
    with pytest.raises(RecipeError, match=r"broken\.py:2 fails on import: SyntaxError"):
        registry.register_plugin(broken)
    broken.write_text("def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(RecipeError, match=r"broken\.py:2 fails on import: ZeroDivisionError") as caught:
        registry.register_plugin(broken)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "corpusmill_plugin_broken" not in sys.modules
    assert registry.plugins() == [tmp_path / "b.py"]


def test_the_digest_of_a_room_covers_all_its_code_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(room: str) -> str:
        registry._room_digest.cache_clear()
        return registry.source_digest(room)

    for name in ("filters/a.py", "filters/kernels/b.py", "dedup/a.py", "pipelines/a.py", "pipelines/cli.py",
                 "pipelines/cli/a.py", "pipelines/report/a.py", "pipelines/sources/cli.py",
                 "tokenizer/a.py", "tokenizer/commands/a.py", "tokenizer/kernels/commands.py",
                 "training_hooks/a.py", "training_hooks/commands/a.py",
                 "training_hooks/curves/a.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(registry, "_ROOT", tmp_path)
    try:
        filters, spine = digest("filters"), digest("pipelines")
        assert digest("filters") == filters != spine
        assert digest("dedup") != filters
        tokenizer, trainer = digest("tokenizer"), digest("training_hooks")
        for name in ("filters/data.txt", "filters/__pycache__/x.pyc", "dedup/c.py", "pipelines/cli.py",
                     "pipelines/cli/a.py", "pipelines/report/a.py", "tokenizer/commands/a.py",
                     "training_hooks/commands/a.py", "training_hooks/curves/a.py"):  # fmt: skip
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("changed")
        assert (digest("filters"), digest("pipelines")) == (filters, spine)
        assert (digest("tokenizer"), digest("training_hooks")) == (tokenizer, trainer)
        for name in ("tokenizer/kernels/commands.py", "training_hooks/commands_of_mine.py"):
            (tmp_path / name).write_text("changed")
            assert (digest("tokenizer"), digest("training_hooks")) != (tokenizer, trainer)
            tokenizer, trainer = digest("tokenizer"), digest("training_hooks")
        for name in ("filters/kernels/b.py", "filters/c.py"):
            (tmp_path / name).write_text("changed")
            assert digest("filters") != filters
            filters = digest("filters")
        (tmp_path / "filters/c.py").rename(tmp_path / "filters/d.py")
        assert digest("filters") != filters
        (tmp_path / "pipelines/sources/cli.py").write_text("changed")
        assert digest("pipelines") != spine
    finally:
        registry._room_digest.cache_clear()
    with pytest.raises(CorpusmillError, match="no room"):
        registry.source_digest("corpusmill_plugin_none")


def test_what_stays_out_of_a_rooms_digest_is_imported_by_nothing_in_it() -> None:
    """So no stage's output can depend on it, and every name that is left out is there."""
    for room, left_out in registry._NOT_CODE_VERSION.items():
        assert all(
            (ROOT / room / name).is_dir() or (ROOT / room / f"{name}.py").is_file() for name in left_out
        )
        if room == "pipelines":
            continue
        hidden = tuple(f"corpusmill.{room}.{name}" for name in left_out)
        for path in (ROOT / room).rglob("*.py"):
            if path.relative_to(ROOT / room).parts[0] in left_out:
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0, path
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                assert not [name for name in names if name.startswith(hidden)], path
