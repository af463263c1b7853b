"""Share of imports whose file stands before the one that imports it, and the speed of ordering, by language.

Repositories: installed Python packages, `code/code_packages.jsonl.zst` of the data, and every folder in the
folders that `--trees` names. Imports are found by `import_checks.py`; those between files that depend on
each other in a circle are left out, since no order has all of them (they are counted in a row of their own).
`alphabetical` is the order of paths. `--whole-files` compares what is found with `whole_file_imports.py`.
"""

from __future__ import annotations

import argparse
import sysconfig
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from posixpath import splitext

from harness import Bench, arguments, bounded, load
from import_checks import LANGUAGES, edges_of
from whole_file_imports import compare

from corpusmill.mixtures.repository.dependencies import asks_for, dependencies_of
from corpusmill.mixtures.repository.order import dependency_order

Files = dict[str, str]


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--trees", type=Path, action="append", default=[], help="folder of source trees")
        parser.add_argument("--whole-files", action="store_true", help="parse whole files, too, and compare")
        parser.add_argument("--show", type=int, default=0, help="print so many imports out of order")

    options = arguments(__doc__, more)
    bench = Bench("repository_order")
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    speed: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    statements = [0, 0]
    whole: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name, files in repositories(options.data, options.trees, options.quick):
        paths = sorted(files)
        began = time.process_time()
        found = dependencies_of(paths, [files[path] if asks_for(path) else "" for path in paths])
        order = [paths[number] for number in dependency_order(len(paths), found.levels)]
        seconds = time.process_time() - began
        statements[0] += sum(filter(None, found.parsed))
        statements[1] += sum(filter(None, found.scanned))
        languages = {LANGUAGES.get(splitext(path)[1]) for path in paths} - {None}
        sizes = {
            language: sum(
                len(text) for path, text in files.items() if LANGUAGES.get(splitext(path)[1]) == language
            )
            for language in languages
        }
        most = max(sizes, key=sizes.__getitem__) if sizes else None
        if most is not None:
            speed[most][0] += sum(map(len, files.values()))
            speed[most][1] += seconds
        for path in paths if options.whole_files else ():
            compared = compare(path, files[path])
            if compared is not None:
                parsed = whole[LANGUAGES.get(splitext(path)[1], "others")]
                parsed[:] = [a + b for a, b in zip(parsed, compared, strict=True)]
        for language in languages:
            count(total[str(language)], name, files, str(language), order, options.show)
    for language in sorted(total):
        outside, kept, sorted_kept, inside = total[language]
        job = f"imports in order, {language}, of {outside:,} outside cycles"
        bench.add(job, "corpusmill", kept / max(outside, 1), "share")
        bench.add(job, "alphabetical", sorted_kept / max(outside, 1), "share")
        bench.add(f"imports within cycles, {language}", "corpusmill", inside, "imports")
    for language, (size, seconds) in sorted(speed.items()):
        bench.add(f"ordering repositories of {language}", "corpusmill", size / 1e6 / seconds, "MB/s")
    share = statements[0] / max(sum(statements), 1)
    bench.add(
        "import statements read by a grammar, the others by an expression", "corpusmill", share, "share"
    )
    for language, (there, missed, more_found) in sorted(whole.items()):
        job = f"imports of whole files, {language}, of {there:,}"
        bench.add(job + " missed", "corpusmill", missed, "imports")
        bench.add(job + " found besides", "corpusmill", more_found, "imports")
    bench.print(options.json)


def count(total: list[int], name: str, files: Files, language: str, order: list[str], show: int) -> None:
    """Add to `total`: imports outside of cycles, those in order, those in order of paths; imports in
    cycles.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = sorted(edges_of(files, language))
    if not edges:
        return
    place = {path: at for at, path in enumerate(order)}
    ends = np.array([[place[a], place[b]] for a, b in edges])
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(order), len(order)))
    _, component = connected_components(graph, directed=True, connection="strong")
    outside = component[ends[:, 0]] != component[ends[:, 1]]
    kept = ends[:, 0] > ends[:, 1]
    total[0] += int(outside.sum())
    total[1] += int((outside & kept).sum())
    total[2] += sum(a > b for (a, b), out in zip(edges, outside, strict=True) if out)
    total[3] += int((~outside).sum())
    for at in np.flatnonzero(outside & ~kept)[:show]:
        print(f"out of order in {name}: {edges[at][0]} imports {edges[at][1]}")


def repositories(data: Path, trees: list[Path], quick: bool) -> Iterator[tuple[str, Files]]:
    """Name, and text by path, of each."""
    installed = Path(sysconfig.get_path("purelib"))
    extra = installed / "bb_base.pth"
    folders = sorted(path for path in installed.iterdir() if path.is_dir())
    if extra.exists():
        folders = sorted(p for p in Path(extra.read_text("utf-8").strip()).iterdir() if p.is_dir())
    for folder in folders[:: 8 if quick else 1]:
        if (folder / "__init__.py").is_file():
            yield folder.name, read(folder, folder.parent, (".py", ".pyi"))
    if (data / "code" / "code_packages.jsonl.zst").exists():
        repos: dict[str, Files] = defaultdict(dict)
        for row in load(data / "code" / "code_packages.jsonl.zst", 1000 if quick else None):
            repos[row["repo"]][row["path"]] = row["text"]
        yield from repos.items()
    for tree in trees:
        for folder in sorted(path for path in tree.iterdir() if path.is_dir()):
            yield folder.name, read(folder, tree, None)


def read(folder: Path, above: Path, suffixes: tuple[str, ...] | None) -> Files:
    """Text by path of the files under `folder` that are UTF-8."""
    found: Files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(above).as_posix()
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix in suffixes if suffixes else (asks_for(name) or path.suffix in LANGUAGES):
            try:
                found[name] = path.read_text("utf-8")
            except UnicodeDecodeError:
                continue
    return found


if __name__ == "__main__":
    bounded(main)
