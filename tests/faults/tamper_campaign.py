"""Tamper with every file that a run leaves, one at a time, and see that no damage passes.

For each file and each kind of damage: copy a finished run, damage the file in the copy, forget the steps
that read it, and run the recipe again. Then one of two things must hold: the run fails with an error that
names the file and the command that repairs it, or every other file is byte for byte what it was, and
`doctor` finds the damage. Afterwards `--repair` must bring back every byte.

    python tests/faults/tamper_campaign.py [--seed 1] [--seconds 60] [--train] [--only PART-OF-A-PATH]

Without --seconds every case is tried (about 2,500, two seconds each), with it a sample drawn by the seed.
--train adds a small training (needs torch).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.inspection.doctor import doctor
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.report.build import build_report
from corpusmill.pipelines.run.graph import build_graph
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.storage.run_folder import RunFolder

RECIPE = """
name: tampered
seed: 3
output: run
engine: {kind: inline}
sources:
  web: {read: {jsonl: {files: "web-*.jsonl", split_bytes: 65536}}, steps: [{gopher_repetition: {}}]}
  code:
    read: {jsonl: {files: code.jsonl, split_bytes: 65536}}
    domain: code
    steps: [repository_order]
dedup: [exact, {minhash: {preset: verified}}]
decontaminate: {against: bench.jsonl}
tokenizer: {train: {vocab_size: 300}}
mixture: {tokens: 60K, weights: {web: 0.5, code: 0.5}, max_epochs: 2}
pack: {sequence_length: 128, shard_tokens: 32768, held_out: 0.05}
"""
TRAIN = "train: {preset: v3-tiny, steps: 2, batch_size: 2, threads: 1}\n"

Mutation = Callable[[Path, Path | None, random.Random], bool]  # file, sibling; False: does not apply


def write_inputs(folder: Path, train: bool = False) -> Path:
    """Inputs and recipe in `folder`; returns the recipe's path."""
    draw = random.Random(7)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 8))) for _ in range(500)]
    texts = [" ".join(draw.choices(words, k=draw.randint(60, 200))) for _ in range(260)]
    near = [" ".join([*text.split()[:-2], "other", "end"]) for text in texts[:12]]
    bench = " ".join(f"question{n} answer{n}" for n in range(30))
    web = [*texts[:180], *texts[:8], *near, f"{texts[0]} {bench}"]
    for part in range(2):
        lines = [json.dumps({"text": text, "url": f"http://x.example/{n}"}) for n, text in enumerate(web)]
        (folder / f"web-{part}.jsonl").write_text("\n".join(lines[part::2]) + "\n", encoding="utf-8")
    code = [{"text": text, "path": f"src/{n}.py", "repo": f"r{n % 4}"} for n, text in enumerate(texts[180:])]
    (folder / "code.jsonl").write_text("\n".join(map(json.dumps, code)) + "\n", encoding="utf-8")
    (folder / "bench.jsonl").write_text(json.dumps({"text": bench}) + "\n", encoding="utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE + (TRAIN if train else ""), encoding="utf-8")
    return recipe


def flip(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """One bit."""
    content = bytearray(path.read_bytes())
    if not content:
        return False
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return True


def truncate(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """Cut short at any place."""
    content = path.read_bytes()
    if content:
        path.write_bytes(content[: draw.randrange(len(content))])
    return bool(content)


def zero_half(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """The second half becomes zeros, as after a lost write."""
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(len(content) - half))
    return any(content[half:])


def delete(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """No file."""
    path.unlink()
    return True


def swap(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """Exchange with a valid file of the same kind."""
    if sibling is None or sibling.read_bytes() == path.read_bytes():
        return False
    mine, theirs = path.read_bytes(), sibling.read_bytes()
    path.write_bytes(theirs)
    sibling.write_bytes(mine)
    return True


def drop_entry(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """JSON without one of its entries, well-formed."""
    if path.suffix != ".json":
        return False
    value = json.loads(path.read_bytes())
    places = [place for place in _containers(value) if place]
    if not places:
        return False
    place = draw.choice(places)
    del place[draw.randrange(len(place)) if isinstance(place, list) else draw.choice(sorted(place))]
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return True


def older(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """Replaced by a valid file of the same kind, which stays where it is too."""
    if sibling is None or sibling.read_bytes() == path.read_bytes():
        return False
    shutil.copyfile(sibling, path)
    return True


def add(path: Path, sibling: Path | None, draw: random.Random) -> bool:
    """One file too many beside it."""
    shutil.copyfile(path, path.with_name(f"99999{path.name[5:]}"))
    return True


MUTATIONS: dict[str, Mutation] = {
    made.__name__: made for made in (flip, truncate, zero_half, delete, swap, drop_entry, older, add)
}


def _containers(value: object) -> Iterator[list[object] | dict[str, object]]:
    if isinstance(value, (list, dict)):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


def tree(run: Path) -> dict[str, str]:
    """SHA-256 of every file that is the run's result: steps, the pointer to them, and their graph."""
    files = [path for path in (run / "steps").rglob("*") if path.is_file()]
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [*files, run / "current.json", run / "graph.json"]
        if path.exists()
    }


@dataclass
class Campaign:
    """A finished run, the runs of damaged copies, and what became of them."""

    folder: Path
    recipe: Path
    draw: random.Random
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Make the run that is copied."""
        load = load_recipe(self.recipe)
        self.base = run_recipe(load).folder.path
        build_report(RunFolder(self.base))
        self.whole = tree(self.base)
        self.graph = build_graph(load)

    @cached_property
    def old(self) -> Path:
        """A run with another seed: other versions of the same files."""
        settings = ["seed=4", "tokenizer.train.vocab_size=310", f"output={self.folder / 'old'}"]
        return run_recipe(load_recipe(self.recipe, settings)).folder.path

    def cases(self) -> list[tuple[str, str]]:
        """Every file, by its path in the run, with every mutation; logs aside."""
        files = [path for path in sorted(self.base.rglob("*")) if path.is_file() and path.name != ".lock"]
        names = [path.relative_to(self.base).as_posix() for path in files]
        return [(name, kind) for name in names for kind in MUTATIONS if not name.startswith("log/")]

    def try_case(self, name: str, kind: str) -> bool:
        """One damaged copy; notes a failure where damage passed or stayed. Whether the damage applies."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.base, copy)
        recipe = load_recipe(self.recipe, [f"output={copy}"])
        sibling = self._older(name, copy) if kind == "older" else self._sibling(name, copy)
        if not MUTATIONS[kind](copy / name, sibling, self.draw):
            self.outcomes["does not apply"] += 1
            return False
        if tree(copy) == self.whole and name.startswith("steps/"):
            self.outcomes["does not apply"] += 1
            return False
        self._forget_readers(name, copy)
        what = f"{kind} {name}"
        damaged = tree(copy)
        try:
            run_recipe(recipe)
            build_report(RunFolder(copy))
        except IntegrityError as error:
            told = str(error)
            self.outcomes["told"] += 1
            names = {Path(name).name, *([sibling.name] if sibling is not None else [])}
            if kind == "add":
                names.add(f"99999{Path(name).name[5:]}")
            if not any(one in told for one in names) or "--repair" not in told:
                self.failures.append(f"{what}: the error does not name file and cure: {told}")
        except Exception as error:  # noqa: BLE001  # any other error is what the campaign looks for
            self.failures.append(f"{what}: {type(error).__name__}: {error}")
        else:
            self._judge_silence(what, name, copy, damaged)
        self._judge_repair(what, copy)
        return True

    def _judge_silence(self, what: str, name: str, copy: Path, damaged: dict[str, str]) -> None:
        after = tree(copy)
        if after == self.whole:
            self.outcomes["made again unasked"] += 1
            return
        wrong = {path for path in after.keys() | self.whole.keys() if after.get(path) != self.whole.get(path)}
        if stray := {path for path in wrong if damaged.get(path) != after.get(path)}:
            self.failures.append(f"{what}: the run ended well with other bytes in {sorted(stray)[:3]}")
        found = doctor(RunFolder(copy), deep=True).faults
        faults = [check for check in found if check.name.startswith(("step", "current", "graph"))]
        if not faults or not all("--repair" in check.cure for check in faults):
            self.failures.append(f"{what}: not read again, and doctor finds nothing: {faults}")
        self.outcomes["not read; doctor finds it"] += 1

    def _judge_repair(self, what: str, copy: Path) -> None:
        try:
            recipe = load_recipe(self.recipe, [f"output={copy}"])
            run_recipe(recipe, repair=True)
            build_report(RunFolder(copy))
        except Exception as error:  # noqa: BLE001  # as above
            self.failures.append(f"{what}: repair fails: {type(error).__name__}: {error}")
            return
        after = tree(copy)
        wrong = {path for path in after.keys() | self.whole.keys() if after.get(path) != self.whole.get(path)}
        if wrong:
            self.failures.append(f"{what}: repair leaves {sorted(wrong)[:3]}")
        faults = [check.detail for check in doctor(RunFolder(copy), deep=True).faults if "step" in check.name]
        if faults:
            self.failures.append(f"{what}: doctor finds faults after repair: {faults[:2]}")

    def _sibling(self, name: str, copy: Path) -> Path | None:
        """Another file of the same kind: of the same step where there is one, else of another."""
        path = copy / name
        ending = path.name[5:] if path.name[:5].isdigit() else path.name
        near = [p for p in sorted(path.parent.iterdir()) if p != path and p.name.endswith(ending)]
        far = [p for p in sorted((copy / "steps").rglob(f"*{ending}")) if p != path]
        found = near or far
        return self.draw.choice(found) if found else None

    def _older(self, name: str, copy: Path) -> Path | None:
        """The file of the same place in the run of another seed."""
        parts = Path(name).parts
        pattern = Path(*parts[:2], "*", *parts[3:]) if parts[0] == "steps" else Path(name)
        found = sorted(self.old.glob(str(pattern)))
        return found[0] if found else None

    def _forget_readers(self, name: str, copy: Path) -> None:
        """Remove the steps that read the file's step, so that they read it again."""
        parts = Path(name).parts
        if parts[0] != "steps":
            return
        for step in self.graph:
            if parts[1] in step.needs:
                shutil.rmtree(copy / "steps" / step.name)


def run_campaign(
    folder: Path, *, seed: int = 1, each: int | None = None, seconds: float | None = None,
    train: bool = False, only: str = "", say: Callable[[str], None] = lambda line: None,
) -> Campaign:  # fmt: skip
    """Try every case, or `each` of every kind of damage, or as many as fit `seconds`, in an order drawn by
    `seed`. What does not apply to its file counts as tried, but not for `each`."""
    campaign = Campaign(folder, write_inputs(folder, train), random.Random(seed))
    campaign.start()
    cases = [case for case in campaign.cases() if only in case[0]]
    campaign.draw.shuffle(cases)
    began = time.monotonic()
    done = Counter[str]()
    for number, (name, kind) in enumerate(cases):
        if each is not None and done[kind] == each:
            continue
        if seconds is not None and time.monotonic() - began > seconds:
            break
        before = len(campaign.failures)
        done[kind] += campaign.try_case(name, kind)
        for failure in campaign.failures[before:]:
            say(f"FAILED {failure}")
        if number % 50 == 49:
            say(f"{number + 1} of {len(cases)} cases, {dict(campaign.outcomes)}")
    return campaign


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = run_campaign(
            Path(folder),
            seed=given.seed,
            seconds=given.seconds,
            train=given.train,
            only=given.only,
            say=print,
        )
    tried, failed = sum(campaign.outcomes.values()), len(campaign.failures)
    print(f"{tried} cases: {dict(campaign.outcomes)}, {failed} failures")
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
