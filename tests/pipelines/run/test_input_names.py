"""Input files by their names: as they stand, by several names, by links; and bytes that changed unseen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError
from corpusmill.pipelines.recipe.listing import Reached, list_files
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.places import local
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.sources.html import Html
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.tree import Tree
from corpusmill.pipelines.storage.checked_ipc import read_batches
from corpusmill.pipelines.system.patterns import matches, nothing_matched

Make = Callable[..., Path]


def put(path: Path, *words: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": word}) + "\n" for word in words))
    return path


def listed(folder: Path, *files: str) -> dict[str, str]:
    return list_files("s", Jsonl(files=list(files)), folder)


ODD = "[ab] 1 (数)/q?.d"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (f"{ODD}/x y.jsonl", ["x y.jsonl"]),
        (f"{ODD}/*.jsonl", ["[z].jsonl", "x y.jsonl"]),
        (f"{ODD}/[z].jsonl", ["[z].jsonl"]),
        ("*/q?.d/[z].jsonl", [f"{ODD}/[z].jsonl"]),
        ("**/x *.jsonl", [f"{ODD}/x y.jsonl"]),
        ("[ab]/*.jsonl", ["a/x.jsonl"]),
    ],
)
def test_what_exists_by_its_name_is_meant_as_it_stands(
    tmp_path: Path, pattern: str, names: list[str]
) -> None:
    for name in (f"{ODD}/x y.jsonl", f"{ODD}/[z].jsonl", "a/x.jsonl"):
        put(tmp_path / name, name)
    assert list(listed(tmp_path, pattern)) == names
    assert nothing_matched(tmp_path, pattern) is None


def test_a_pattern_is_never_corrected_to_itself(tmp_path: Path) -> None:
    put(tmp_path / "a b.jsonl", "x")
    (tmp_path / "lost.jsonl").symlink_to("nowhere.jsonl")
    assert "did you mean `a b.jsonl` for `a_b.jsonl`" in str(nothing_matched(tmp_path, "a_b.jsonl"))
    assert "lost.jsonl is a broken link, to nowhere.jsonl" in str(nothing_matched(tmp_path, "lost.jsonl"))
    assert "broken link" in str(nothing_matched(tmp_path, "lo*.jsonl"))
    said = str(nothing_matched(tmp_path, "a b.jsonl/c.jsonl"))
    assert "a b.jsonl is a file, so nothing lies below it" in said
    assert matches(tmp_path, "none/*.jsonl")[1] == []


def test_a_file_with_several_names_is_read_once(tmp_path: Path) -> None:
    put(tmp_path / "2024-05" / "part-0.jsonl", "x")
    put(tmp_path / "2024-04" / "part-0.jsonl", "y")
    (tmp_path / "0-latest").symlink_to("2024-05")
    (tmp_path / "2024-04" / "current.jsonl").symlink_to("part-0.jsonl")
    os.link(tmp_path / "2024-04" / "part-0.jsonl", tmp_path / "2024-04" / "part-1.jsonl")
    assert list(listed(tmp_path, "*/*.jsonl")) == ["2024-04/part-0.jsonl", "2024-05/part-0.jsonl"]
    assert list(listed(tmp_path, "0-latest/*.jsonl")) == ["part-0.jsonl"]
    with pytest.raises(RecipeError, match=r"both match one file, as .*2024-05/part-0.jsonl and .*0-latest"):
        listed(tmp_path, "*05/*.jsonl", "0-*/*.jsonl")


def test_two_sources_may_share_a_path_but_not_a_file_of_two_names(tmp_path: Path) -> None:
    put(tmp_path / "new" / "x.jsonl", "x")
    (tmp_path / "latest").symlink_to("new")
    reached: Reached = {}
    list_files("a", Jsonl(files=["new/*.jsonl"]), tmp_path, reached)
    list_files("b", Jsonl(files=["new/x.jsonl"], text_field="other"), tmp_path, reached)
    with pytest.raises(RecipeError, match=r"sources a and c reach one file by two names, .*new.*latest"):
        list_files("c", Jsonl(files=["latest/*.jsonl"]), tmp_path, reached)


def test_a_folder_of_links_alone_says_how_to_follow_them(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "x.py").write_text("x = 1\n")
    (tmp_path / "farm").mkdir()
    (tmp_path / "farm" / "x.py").symlink_to("../store/x.py")
    for pattern in ("farm", "farm/*.py"):
        message = r"1 symbolic link \(such as x\.py\), and links are passed over; to follow them, .*store"
        with pytest.raises(RecipeError, match=message):
            list_files("s", Tree(files=[pattern]), tmp_path)


def test_why_a_folder_or_a_pipe_gives_no_file(tmp_path: Path) -> None:
    put(tmp_path / "[x]" / "a.jsonl", "x")
    (tmp_path / "[x]" / "lost.jsonl").symlink_to("nowhere.jsonl")
    with pytest.raises(RecipeError, match=r"\[x\] is a folder, and `jsonl` reads files; name them"):
        listed(tmp_path, "[x]")
    assert list(listed(tmp_path, "[x]/a*")) == ["a.jsonl"]
    with pytest.raises(
        RecipeError, match=r"\[x\] holds no file that `html` reads; correct"
    ):  # a link to nothing
        list_files("s", Html(files=["[x]"]), tmp_path)
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(RecipeError, match=r"pipe\.jsonl is a pipe, a socket or a device; write"):
        listed(tmp_path, "*.jsonl")


def test_bytes_that_changed_behind_size_and_time_are_found_on_request(recipe: Make, tmp_path: Path) -> None:
    path = recipe(documents=20, kind="inline")
    file = next(tmp_path.rglob("a.jsonl"))
    run_recipe(load_recipe(path, []))
    stat, content = file.stat(), file.read_bytes()
    at = next(i for i in range(len(content) - 3, 0, -1) if content[i : i + 1].islower())
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    unseen = run_recipe(load_recipe(path, []))
    assert all(state.reused for state in unseen.steps)
    seen = {state.step.name: state for state in run_recipe(load_recipe(path, []), verify_inputs=True).steps}
    assert not seen["a.index"].reused
    assert not seen["a"].reused
    assert seen["b.index"].reused
    assert seen["b"].reused
    again = run_recipe(load_recipe(path, []), verify_inputs=True)
    assert all(state.reused for state in again.steps)


def test_one_file_under_two_patterns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.jsonl").write_text("{}\n")
    with pytest.raises(RecipeError, match="read it twice; let only one"):
        listed(tmp_path, "d/x.jsonl", "**/*.jsonl")
    assert list(listed(tmp_path, "d/x.jsonl", "d/*.jsonl")) == ["x.jsonl"]


def test_a_broken_link_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    (tmp_path / "y.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(RecipeError, match=r"y\.jsonl is a broken link"):
        listed(tmp_path, "*.jsonl")


def test_wildcards_of_the_data_folder_are_letters(tmp_path: Path) -> None:
    folder = tmp_path / "da[ta]*"
    folder.mkdir()
    (folder / "a [1].jsonl").write_text("{}\n")
    assert list(listed(folder, "*.jsonl")) == ["a [1].jsonl"]
    assert list(listed(folder, "a [1].jsonl")) == ["a [1].jsonl"]


def test_a_name_that_is_not_utf8_is_escaped(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.jsonl")).write_text("{}\n")
    ((name, place),) = listed(tmp_path, "*.jsonl").items()
    assert name == "\\xff.jsonl"
    assert place.startswith("bytes:/")
    assert local(place) == tmp_path.resolve() / os.fsdecode(b"\xff.jsonl")
    folder = tmp_path / os.fsdecode(b"\xfe")
    folder.mkdir()
    (folder / "x.jsonl").write_text("{}\n")
    (tmp_path / "link.jsonl").symlink_to(folder / "x.jsonl")
    with pytest.raises(RecipeError, match=r"the path of .*\\xfe/x\.jsonl is not UTF-8; rename"):
        listed(tmp_path, "link.jsonl")


@pytest.mark.parametrize("kind", ["tree", "jsonl"])
def test_a_file_without_a_name_in_utf8_is_quarantined(tmp_path: Path, kind: str) -> None:
    """Counted with its bytes under an escaped name, and the run goes on; with all names so it fails."""
    suffix, content = (".py", "x = 1\n") if kind == "tree" else (".jsonl", '{"text": "one"}\n')
    for name in (b"a" + suffix.encode(), b"\xff" + suffix.encode(), b"\xe9t\xe9/z" + suffix.encode()):
        place = tmp_path / "in" / os.fsdecode(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    pattern = "in" if kind == "tree" else "in/**/*.jsonl"
    recipe = {
        "name": "names",
        "engine": {"kind": "inline"},
        "sources": {"web": {"read": {kind: pattern}, "allow_loss": 0.9}},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    result = run_recipe(load_recipe(tmp_path / "r.yaml", inputs=True))
    read = next(state for state in result.steps if state.step.name == "web")
    assert read.folder is not None
    files = [read.folder.file(file.name) for file in read.folder.units.files("removed.arrow")]
    lost = [row for file in files for batch in read_batches(file) for row in batch.to_pylist()]
    assert sorted(row["reason"] for row in lost) == ["corrupt_input"] * 2
    told = " ".join(str(row) for row in lost)
    assert f"xff{suffix}@0" in told
    assert "not UTF-8; rename the file" in told
    (tmp_path / "in" / f"a{suffix}").unlink()
    with pytest.raises(CorpusmillError, match="not UTF-8; rename the file"):
        run_recipe(load_recipe(tmp_path / "r.yaml", inputs=True))
