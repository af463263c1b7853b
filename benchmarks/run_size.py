"""Files and bytes that a run leaves, by kind, with `keep: all`.

    python benchmarks/run_size.py [--quick] [--json] [--only {bytes,files}] [--megabytes N] [--into FOLDER]

Jobs:
- `bytes: ...`: `corpusmill sample-corpus --megabytes N` (100; quick: 2), `configs/tiny.yaml` up to `pack`,
  40,000 tokens drawn a megabyte: megabytes of all files below `steps/` by kind, and `over text`, all of them
  over the text that sources have after their steps; reports and logs are not among them;
- `files: ...`: 2,400 files of 4 KB (quick: 40), the recipe of `increments.py`, its tokenizer loaded: by kind,
  and `a unit`, all of them over the units of documents that come of the sources.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from harness import Bench, arguments, bounded
from increments import LOADED, RECIPE, TRAINED, corpus, ran

from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder

TINY = Path(__file__).resolve().parent.parent / "configs" / "tiny.yaml"
KINDS = {
    "removed.arrow": "removed documents, scores, pairs",
    "scores.parquet": "removed documents, scores, pairs",
    "found.arrow": "removed documents, scores, pairs",
    "edits.arrow": "removed documents, scores, pairs",
    "parquet": "documents",
    "rows.arrow": "rows of exchanges",
    "side.arrow": "side tables of exchanges",
    "partial.arrow": "partial results",
    "index.json": "indexes",
}


def kind_of(step: StepFolder, file: Path) -> str:
    """What a file of a step is."""
    if step.data not in file.parents:
        return "manifests, receipts"
    number, _, suffix = file.name.partition(".")
    if number.startswith("shard"):
        return "shards"
    if number.isdecimal():
        return KINDS.get(suffix, "tokens" if suffix == "arrow" else "artefacts")
    return "artefacts"


def current(run: Path) -> dict[str, StepFolder]:
    """The steps of a run by their names."""
    folder = RunFolder(run)
    return {name: folder.step(name, version) for name, version in folder.current().steps.items()}


def counted(steps: dict[str, StepFolder]) -> tuple[Counter[str], Counter[str]]:
    """Files and bytes of steps by kind."""
    files: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for step in steps.values():
        for path in step.path.rglob("*"):
            if path.is_file():
                kind = kind_of(step, path)
                files[kind] += 1
                size[kind] += path.stat().st_size
    return files, size


def sources(run: Path) -> list[StepFolder]:
    """The last step of each source, which has its documents."""
    recipe = RunFolder(run).recipe()
    return [step for name, step in current(run).items() if name in recipe["sources"]]


def bytes_of_run(bench: Bench, folder: Path, megabytes: int) -> None:
    command = [Path(sys.executable).with_name("corpusmill")]
    data, run = folder / "sample", folder / "tiny"
    subprocess.run(
        [*command, "sample-corpus", data, "--megabytes", str(megabytes)], check=True, stdout=subprocess.PIPE
    )
    settings = [f"data={data}", f"output={run}", f"mixture.tokens={megabytes * 40_000}"]
    given = [word for setting in settings for word in ("--set", setting)]
    subprocess.run([*command, "run", TINY, "--until", "pack", *given], check=True, stdout=subprocess.PIPE)
    _, size = counted(current(run))
    text = sum(size for step in sources(run) for _, size in step.need_manifest().sources.values())
    bench.add("bytes: text", "corpusmill", text / 1e6, "MB")
    for kind, number in size.most_common():
        bench.add(f"bytes: {kind}", "corpusmill", number / 1e6, "MB")
    bench.add("bytes: over text", "corpusmill", size.total() / text, "")


def files_of_run(bench: Bench, folder: Path, count: int) -> None:
    corpus(folder, count)
    recipe = folder / "recipe.yaml"
    tokens = f"{max(40, count)}K"
    recipe.write_text(RECIPE.format(tokenizer=TRAINED, tokens=tokens))
    ran(folder, "trained", "tokenizer")
    made = next((folder / "trained").glob("steps/tokenizer/*/data/tokenizer.json"))
    shutil.copy(made, folder / "tokenizer.json")
    recipe.write_text(RECIPE.format(tokenizer=LOADED, tokens=tokens))
    ran(folder, "run")
    files, size = counted(current(folder / "run"))
    units = sum(len(step.units) for step in sources(folder / "run"))
    bench.add("files: units of documents", "corpusmill", units, "")
    for kind, number in files.most_common():
        bench.add(f"files: {kind}", "corpusmill", number, "")
    bench.add("files: all", "corpusmill", files.total(), "")
    bench.add("files: megabytes", "corpusmill", size.total() / 1e6, "MB")
    bench.add("files: a unit", "corpusmill", files.total() / units, "")


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--only", choices=["bytes", "files"])
        parser.add_argument("--megabytes", type=int)
        parser.add_argument("--into", type=Path, help="keep corpora and runs in this folder")

    options = arguments(__doc__, more)
    bench = Bench("run_size")
    with tempfile.TemporaryDirectory() as name:
        folder = (options.into or Path(name)).resolve()
        if options.only != "files":
            megabytes = options.megabytes or (2 if options.quick else 100)
            bytes_of_run(bench, folder / "bytes", megabytes)
        if options.only != "bytes":
            (folder / "files").mkdir(parents=True, exist_ok=True)
            files_of_run(bench, folder / "files", 40 if options.quick else 2400)
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
