"""Nothing beside the data is executed, whatever it is called; a plugin is one file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from corpusmill.pipelines.run.engines import isolation
from tests.waiting import PATIENCE

# What an installed console script does; its own folder comes first on `sys.path`.
SCRIPT = "import sys\nfrom corpusmill.__main__ import main\nsys.exit(main())\n"
RECIPE = """
name: here
sources: {a: {read: {jsonl: a.jsonl}, steps: [gopher_repetition]}}
dedup: [exact]
"""
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Runs the installed command in a folder that holds a recipe, its data, and a file by the name of every
    module of the standard library and of the packages installed, which notes that it was executed."""
    here, noted = tmp_path / "here", tmp_path / "executed"
    here.mkdir()
    for name in installed() - {"corpusmill"}:
        if name.isidentifier():
            (here / f"{name}.py").write_text(
                f"open({str(noted)!r}, 'a').write('{name} ')\nraise SystemExit(3)\n"
            )
    texts = [" ".join(f"word{k}of{n}" for k in range(40)) for n in range(20)]
    lines = [json.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts)]
    (here / "a.jsonl").write_text("\n".join(lines) + "\n")
    (here / "recipe.yaml").write_text(RECIPE)
    script = tmp_path / "bin" / "corpusmill"
    script.parent.mkdir()
    script.write_text(SCRIPT)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **environment},
        )
        assert not noted.exists(), noted.read_text()
        return done

    return run


@cache
def installed() -> frozenset[str]:
    """Names of the modules of the standard library and of the packages installed."""
    return frozenset({*sys.stdlib_module_names, *packages_distributions(), "sitecustomize", "usercustomize"})


@pytest.mark.parametrize("kind", ["inline", "ray"])
def test_no_engine_executes_what_lies_beside_the_data(kind: str, call: Call) -> None:
    flags = ["--set", f"engine.kind={kind}", "--set", "engine.workers=1"]
    # Ray's workers give way to other processes, and so wait long where all cores are at work.
    done = call("run", "recipe.yaml", *flags, RAY_worker_niceness="0")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["validate", "recipe.yaml"], ["doctor"], ["schema"]])
def test_no_command_executes_what_lies_beside_the_data(arguments: list[str], call: Call) -> None:
    done = call(*arguments)
    assert done.returncode == 0, done.stderr


def test_a_plugin_cannot_import_what_lies_beside_it(call: Call, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "sibling.py").write_text("WORDS = 3\n")
    (here / "own.py").write_text("import sibling\n")
    (here / "recipe.yaml").write_text(RECIPE + "plugins: [own.py]\n")
    refused = call("validate", "recipe.yaml")
    assert refused.returncode == 1
    assert "own.py:1 fails on import: ModuleNotFoundError: No module named 'sibling'" in refused.stderr
    assert "a plugin is one file" in refused.stderr


def test_python_path_loses_the_working_directory_and_keeps_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    monkeypatch.setattr(isolation, "_START", str(tmp_path))
    given = os.pathsep.join(["", ".", "lib", str(tmp_path), str(own)])
    monkeypatch.setenv("PYTHONPATH", given)
    monkeypatch.setenv("PYTHONSTARTUP", "start.py")
    found = isolation.child_environment(os.environ)
    assert found["PYTHONPATH"] == str(own)
    assert "PYTHONSTARTUP" not in found
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), str(tmp_path / "lib"), str(own), isolation.HOME])
    assert isolation.import_path() == [str(own), isolation.HOME]


def test_the_folder_of_the_package_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_START", isolation.HOME)
    monkeypatch.setenv("PYTHONPATH", isolation.HOME)
    assert isolation.HOME in isolation.import_path()
    assert isolation.child_environment(os.environ)["PYTHONPATH"] == isolation.HOME
    assert isolation.home_needs_naming()


def test_numba_reads_no_settings_beside_the_data(tmp_path: Path) -> None:
    (tmp_path / ".numba_config.yaml").write_text("disable_jit: 1\n")
    code = (
        "from corpusmill.pipelines.system.kernel_cache import use_kernel_cache\n"
        "use_kernel_cache()\nimport numba\n"
        "assert numba.config.DISABLE_JIT == 0\n"
        "numba.core.config.reload_config()\nassert numba.config.DISABLE_JIT == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_workers_execute_nothing_beside_the_data_and_no_package_that_extends_numba(
    call: Call, tmp_path: Path
) -> None:
    site, loaded = tmp_path / "site", tmp_path / "loaded"
    (site / "extends-1.dist-info").mkdir(parents=True)
    (site / "extends-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: extends\nVersion: 1\n"
    )
    (site / "extends-1.dist-info" / "entry_points.txt").write_text(
        "[numba_extensions]\ninit = extends:init\n"
    )
    (site / "extends.py").write_text(f"def init():\n    open({str(loaded)!r}, 'w')\n")
    flags = ["--set", "engine.kind=process", "--set", "engine.workers=1"]
    done = call("run", "recipe.yaml", *flags, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert not loaded.exists()
    compiles = "from numba.core import entrypoints\nentrypoints.init_all()\n"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    subprocess.run([sys.executable, "-c", compiles], env=environment, check=True, timeout=PATIENCE)
    assert loaded.exists()  # which a kernel elsewhere does
