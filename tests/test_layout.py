"""The shape of the repository: rooms, links, the wheel, imports and the size of files."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.contract import rooms
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.sections import section_classes
from corpusmill.pipelines.run.code_version import code_digest

ROOT = Path(__file__).parents[1]
ROOMS = rooms.ROOMS
PACKAGE = ROOT / "src" / "corpusmill"
MAX_LINES = 400
HEAVY = ("numba", "torch", "ray", "tokenizers", "trafilatura", "gigatoken", "fastwarc", "scipy")


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(p for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


def test_every_room_is_linked_into_the_package_and_nothing_else_is() -> None:
    links = {path.name: path for path in PACKAGE.iterdir() if path.is_symlink()}
    assert set(links) == set(ROOMS)
    for name, link in links.items():
        target = link.readlink()
        assert not target.is_absolute()
        assert target == Path("../..") / name
        assert link.is_dir()
    others = {path.name for path in PACKAGE.iterdir()} - set(links) - {"__pycache__"}
    assert others == {"__init__.py", "__init__.pyi", "__main__.py", "py.typed"}


def test_every_folder_with_code_is_a_package() -> None:
    for path in python_files(*ROOMS):
        assert (path.parent / "__init__.py").is_file(), (
            f"{path.parent} lacks __init__.py: wheels leave it out"
        )


def test_init_files_are_a_docstring_and_nothing_else() -> None:
    for path in python_files(*ROOMS):
        if path.name == "__init__.py":
            body = ast.parse(path.read_text("utf-8")).body
            assert len(body) == 1, path
            assert isinstance(body[0], ast.Expr), path


def test_no_file_is_too_long_and_none_is_called_utils() -> None:
    for path in python_files(*ROOMS, "tests", "benchmarks"):
        assert path.read_text("utf-8").count("\n") <= MAX_LINES, path
        assert path.stem not in ("utils", "util", "common", "misc"), path


def test_no_docstring_is_an_essay() -> None:
    for path in python_files(*ROOMS, "benchmarks"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                lines = (ast.get_docstring(node) or "").count("\n") + 1
                assert lines <= 30, f"{path}: a docstring of {lines} lines; what is an essay belongs in docs/"


def test_what_compiles_nothing_lies_outside_of_kernels() -> None:
    decorators = re.compile(
        r"^ *@(compiled|inlined|forced|reassociated|intrinsic)$|= inlined\(", re.MULTILINE
    )
    for path in python_files(*ROOMS):
        if path.parent.name == "kernels" and path.name != "__init__.py":
            assert decorators.search(path.read_text("utf-8")), f"{path} compiles nothing: move it out"


def test_texts_are_decoded_mixed_and_classified_in_one_place() -> None:
    """Each has one home in pipelines/text; rooms import it."""
    signs = {
        "a UTF-8 decoder": re.compile(r"& 0x0F\) << 12"),
        "a mixer of 64 bits": re.compile(r"0xBF58476D1CE4E5B9|0xFF51AFD7ED558CCD", re.IGNORECASE),
        "a table of characters": re.compile(r"map\(unicodedata\.category|unicodedata\.category\(chr"),
        "a shim over numba": re.compile(r"^ *(from|import) numba\b.*\b(njit|jit)\b", re.MULTILINE),
    }
    for path in python_files(*ROOMS):
        if path.parents[1].name != "text" and path.parent.name != "text":
            for what, sign in signs.items():
                assert not sign.search(path.read_text("utf-8")), f"{path} has {what}: pipelines/text has one"


def imported(path: Path) -> Iterator[tuple[int, str]]:
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        # Statements alone hold statements: expressions, which are most nodes, are passed over.
        waiting += [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
        ]
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def test_mappings_of_json_are_named_by_the_codec_alone() -> None:
    """Everywhere else a record, or the type of what a foreign file holds, tells more than `Json` does."""
    codec = ROOT / "pipelines" / "records"
    for path in python_files(*ROOMS):
        if path.parent != codec:
            names = {
                node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)
            }
            assert "Json" not in names, f"{path}: give a record (pipelines/records) instead of Json"


def test_rooms_are_imported_by_their_full_names() -> None:
    for path in python_files(*ROOMS, "tests", "benchmarks"):
        for line, name in imported(path):
            top = name.split(".")[0]
            assert top not in ROOMS, f"{path}:{line}: import corpusmill.{name}"
            assert not name.startswith("."), f"{path}:{line}: relative import; write corpusmill.<room>"
            assert top != "src", f"{path}:{line}"
            assert top != "oracles", f"{path}:{line}: import tests.{name}, which every order of tests finds"


def test_the_repository_holds_no_bytecode_and_no_link_out_of_itself() -> None:
    for folder in (*ROOMS, "tests", "configs", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_symlink():
                assert path.resolve().is_relative_to(ROOT), path


def stage_modules() -> list[str]:
    """Modules of stages and of sections."""
    folders = {room: rooms.stage_folder(room).replace("/", ".") for room in ROOMS}
    stages = [f"corpusmill.{folders[room]}.{name}" for room in ROOMS for name in rooms.names(room)]
    return [*stages, *(section.__module__ for section in section_classes())]


def test_the_command_line_imports_light() -> None:
    """`corpusmill --help`, and every word on the way to a command, wait for what is imported here."""
    heavy = (*HEAVY, "numpy", "pyarrow", "pydantic", "yaml")
    code = (
        "import sys\nfrom corpusmill.pipelines.cli.main import app\n"
        f"print(*(name for name in {heavy!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_commands_that_compile_nothing_wait_for_no_compiler() -> None:
    """Every command that loads a recipe or a run imports these."""
    code = (
        "import sys\nimport corpusmill.pipelines.run.plan, corpusmill.pipelines.run.runner\n"
        "import corpusmill.pipelines.inspection.inspect, corpusmill.pipelines.inspection.doctor\n"
        "import corpusmill.pipelines.inspection.explain, corpusmill.pipelines.report.build\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_stages_and_sections_import_light() -> None:
    code = (
        "import importlib, sys\n"
        f"heavy = {(*HEAVY, 'pyarrow.compute')!r}\n"
        f"for name in {stage_modules()!r}:\n"
        "    importlib.import_module(name)\n"
        "    found = [module for module in heavy if module in sys.modules]\n"
        "    assert not found, f'{name} imports {found} at its top: move it into the method that needs it'\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_stages_and_rooms_are_listed_by_file_name() -> None:
    """A module beside the stages that is no stage would be offered as one, or hide a misspelt class."""
    for room in ROOMS:
        if room == "pipelines":
            continue
        files = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
        assert files == set(rooms.names(room)), room


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from a copy of the tree, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc", "*.nbi", "*.nbc")
    for name in (*ROOMS, "src"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_every_module_of_every_room(wheel: Path) -> None:
    here = {path.relative_to(ROOT).as_posix() for path in python_files(*ROOMS)}
    there = {
        path.relative_to(wheel / "corpusmill").as_posix() for path in (wheel / "corpusmill").rglob("*.py")
    }
    assert there - {"__init__.py", "__main__.py"} == here
    assert not [path for path in wheel.rglob("*") if path.is_symlink()]
    assert (wheel / "corpusmill" / "py.typed").is_file()
    assert (wheel / "corpusmill" / "__init__.pyi").is_file()
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == {"corpusmill"}
    for page in (ROOT / "pipelines" / "report").glob("*.html"):
        assert (wheel / "corpusmill" / "pipelines" / "report" / page.name).is_file()


def test_every_room_imports_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    code = (
        "import importlib\nimport corpusmill\nfrom pathlib import Path\n"
        f"assert Path(corpusmill.__file__).is_relative_to({str(wheel)!r}), corpusmill.__file__\n"
        f"for room in {ROOMS!r}:\n    importlib.import_module(f'corpusmill.{{room}}')\n"
        "from corpusmill.pipelines.recipe import registry\n"
        "from corpusmill.pipelines.run.code_version import code_digest\n"
        f"assert registry.step_names() == {registry.step_names()!r}\n"
        f"print(*(code_digest(module) for module in {stage_modules()!r}))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(wheel), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [code_digest(module) for module in stage_modules()]
