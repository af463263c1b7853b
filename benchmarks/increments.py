"""What one more file, one less and one changed cost a run over many: units done again, CPU seconds, bytes.

1,000 files (quick: 40, and one more) of 4 KB, of prose and of code, go through a chain like that of
`configs/tiny.yaml`, up to shards, in units of 64 KB; the tokenizer is a loaded one, or with `--trained` is
trained on them, so that a new file changes all tokens. Jobs, for each change, of which each is made to the
run that the one before left:
- `CHANGE: units`: done again, of all steps; `CHANGE: STEP`: of each step of several units; `one more` stands
  in the middle of the listing;
- `CHANGE: seconds`: CPU time of the whole command; `fresh`: of a run from nothing over the same files;
- `CHANGE: steps that differ` from the fresh run's in any byte: none should.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import Bench, arguments, bounded

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import Runner

RECIPE = """
name: grown
seed: 3
engine: {{kind: inline}}
sources:
  prose: {{read: {{jsonl: {{files: prose/*.jsonl, split_bytes: 65536}}}}, steps: [gopher_repetition]}}
  code:
    read: {{jsonl: {{files: code/*.jsonl, split_bytes: 65536}}}}
    domain: code
    steps: [repository_order]
dedup: [exact, minhash]
decontaminate: {{against: benchmark.jsonl}}
tokenizer: {tokenizer}
mixture: {{tokens: {tokens}, weights: {{prose: 0.7, code: 0.3}}, max_epochs: 4}}
pack: {{sequence_length: 512, shard_tokens: 256K, fim: {{rate: 0.1}}}}
"""
TRAINED, LOADED = "{train: {vocab_size: 2048}}", "{load: tokenizer.json}"
DOCUMENTS, LENGTH = 5, 120  # of a file, and words of a document
WORDS = ["".join(random.Random(number).choices("etaoinshrdlu", k=2 + number % 9)) for number in range(20_000)]


def document(draw: random.Random, name: str, code: bool) -> dict[str, str]:
    """A record of prose, or of a file of code; its words are drawn by a power law."""
    words = [WORDS[int(draw.paretovariate(0.6)) % len(WORDS)] for _ in range(LENGTH)]
    if not code:
        return {"id": name, "text": " ".join(words)}
    lines = [f"    {a} = {b}({c})" for a, b, c in zip(words[::3], words[1::3], words[2::3], strict=False)]
    text = f"def {words[0]}({words[1]}):\n" + "\n".join(lines) + "\n"
    return {"id": name, "text": text, "repo": name.rsplit("-", 2)[0], "path": f"{name}.py"}


def write(path: Path, seed: int) -> None:
    """A file of documents, the last of which is its first one again with a word more."""
    draw = random.Random(seed)
    code = path.parent.name == "code"
    made = [document(draw, f"{path.stem}-{seed}-{number}", code) for number in range(DOCUMENTS)]
    made[-1]["text"] = made[0]["text"] + "again"
    path.write_text("".join(json.dumps(one) + "\n" for one in made))


def corpus(folder: Path, files: int) -> None:
    """Write so many files, three of ten of code, and a benchmark."""
    for number in range(files):
        kind = "code" if number % 10 >= 7 else "prose"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write(folder / kind / f"{number:05d}.jsonl", number)
    asked = [
        {"id": str(n), "text": document(random.Random(-n - 1), "", False)["text"][:300]} for n in range(20)
    ]
    (folder / "benchmark.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))


def run(recipe: Path, out: Path, until: list[str]) -> None:
    """Run a recipe, and print CPU seconds, and of each step the units done and all, and its content."""
    done = Runner(load_recipe(recipe, [f"output={out}"])).run(until or None)
    spent = resource.getrusage(resource.RUSAGE_SELF)
    steps = {
        state.step.name: (
            state.redone if not state.reused else 0,
            state.total,
            done.manifest(state.step.name).content,
        )
        for state in done.steps
    }
    print(json.dumps([spent.ru_utime + spent.ru_stime, steps]))


def ran(folder: Path, out: str, *until: str) -> tuple[float, dict[str, Any]]:
    """What `run` prints, in a process of its own."""
    command = [sys.executable, __file__, "--run", str(folder / "recipe.yaml"), str(folder / out), *until]
    asked = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    seconds, steps = json.loads(asked.stdout.splitlines()[-1])
    return seconds, steps


def main() -> None:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--trained", action="store_true", help="train the tokenizer")

    options = arguments(__doc__, more)
    bench = Bench("increments")
    files, tokens = (40, "40K") if options.quick else (1000, "1M")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus(folder, files)
        recipe = folder / "recipe.yaml"
        recipe.write_text(RECIPE.format(tokenizer=TRAINED, tokens=tokens))
        if not options.trained:
            ran(folder, "trained", "tokenizer")
            made = next((folder / "trained").glob("steps/tokenizer/*/data/tokenizer.json"))
            shutil.copy(made, folder / "tokenizer.json")
            recipe.write_text(RECIPE.format(tokenizer=LOADED, tokens=tokens))
        seconds, _ = ran(folder, "run")
        bench.add("first run: seconds", "corpusmill", seconds, "s")
        middle = folder / "prose" / f"{files // 20 * 10:05d}.jsonl"
        changes = ("nothing new", "one more", "one more at the end", "one less", "one changed")
        for change in changes[: 2 if options.quick else None]:
            if change == "nothing new":
                bench.add(f"{change}: seconds", "corpusmill", ran(folder, "run")[0], "s")
                continue
            if change == "one more":
                write(middle.with_stem(f"{middle.stem}a"), files)
            elif change == "one more at the end":
                write(folder / "prose" / f"{files:05d}z.jsonl", files + 2)
            elif change == "one less":
                (folder / "prose" / "00011.jsonl").unlink()
            else:
                write(middle, files + 1)
            seconds, steps = ran(folder, "run")
            done = sum(redone for redone, _, _ in steps.values())
            units = sum(total for _, total, _ in steps.values())
            bench.add(f"{change}: units", "corpusmill", done, f"of {units:,}")
            for step, (redone, total, _) in steps.items():
                if total > 1:
                    bench.add(f"{change}: {step}", "corpusmill", redone, f"of {total:,}")
            bench.add(f"{change}: seconds", "corpusmill", seconds, "s")
            seconds, fresh = ran(folder, "fresh")
            bench.add(f"{change}: seconds", "fresh", seconds, "s")
            differ = sum(steps[step][2] != fresh[step][2] for step in steps.keys() | fresh.keys())
            bench.add(f"{change}: steps that differ", "corpusmill", differ, f"of {len(steps)}")
            shutil.rmtree(folder / "fresh")
    bench.print(options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
    else:
        bounded(main)
