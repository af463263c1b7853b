"""The recall loop: how much of the mathematics planted in a pool it finds, and with what precision, by round.

    python benchmarks/recall_loop.py [--json] [--quick]

A pool of 20,000 pages holds 2,000 pages of mathematics (`planted_pages.py`); the seed are 500 others. Both
are of four kinds (encyclopedia entries, sections of books, school problems, examination problems), or the
seed is of the first alone. A run of the recipe finds; what it finds in each round is judged here against what
was planted, and so is what is left in the end. With `--quick` the pool has 2,000 pages, 200 of mathematics,
the seed 80, and there are two rounds.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import planted_pages
from harness import Bench, arguments, bounded
from planted_pages import Page, Text

RECIPE = """
name: recalled
sources:
  web:
    read: {{jsonl: pool.jsonl}}
engine: {{kind: inline}}
recall_loop: {{seed: seed.jsonl{more}}}
"""
SHARES = {"web": 0.14, "newsletter": 0.11, "articles": 0.04, "manuals": 0.28, "code": 0.5}
WHOLE_SITES = ", hit_in_sites_at_least: 0, at_least: 0.5, in_sites_at_least: 0.5"


def main() -> None:
    args = arguments(__doc__)
    bench = Bench("recall_loop")
    many, planted, seeds = (2_000, 200, 80) if args.quick else (20_000, 2_000, 500)
    texts = planted_pages.mathematics(args.data, args.quick)
    background = planted_pages.others(args.data, args.quick)
    for name, kind, more in (
        ("a seed of all kinds", None, ""),
        ("a seed of one kind", "encyclopedia", ""),
        ("a seed of one kind, whole sites join", "encyclopedia", WHOLE_SITES),
    ):
        rng = np.random.default_rng(planted_pages.SEED)
        seed, chosen = split(texts, kind, seeds, planted, rng)
        shuffled = planted_pages.shuffled(background, rng)
        others = planted_pages.limited(shuffled, SHARES, many - len(chosen))
        pool = planted_pages.pool(chosen, others, rng)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write(folder, seed, pool)
            seconds = run(folder, f"{more}, rounds: {2 if args.quick else 4}")
            size = sum(len(page.text.encode()) for page in pool)
            measure(bench, name, folder, pool)
        bench.add(
            f"{name}: run", "corpusmill", seconds, f"s of CPU, {len(pool):,} pages, {size / 1e6:.0f} MB"
        )
    bench.print(args.json)


def split(
    texts: Sequence[Text], kind: str | None, seeds: int, planted: int, rng: np.random.Generator
) -> tuple[list[Text], list[Text]]:
    """The seed, of one kind or of all, and as many other texts of all kinds as are planted."""
    if kind is None:
        both = planted_pages.balanced(texts, seeds + planted, rng)
        return both[:seeds], both[seeds:]
    seed = [one for one in planted_pages.shuffled(texts, rng) if one.kind == kind][:seeds]
    others = set(seed)
    return seed, planted_pages.balanced([one for one in texts if one not in others], planted, rng)


def write(folder: Path, seed: Sequence[Text], pool: Sequence[Page]) -> None:
    rows = [{"id": f"seed-{number}", "text": one.text} for number, one in enumerate(seed)]
    (folder / "seed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    pages = [{"id": page.url, "url": page.url, "text": page.text} for page in pool]
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pages), "utf-8")


def run(folder: Path, more: str) -> float:
    """Seconds of CPU of the recipe."""
    (folder / "recipe.yaml").write_text(RECIPE.format(more=more), "utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "corpusmill", "run", "recipe.yaml", "--out", "run"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ})
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(bench: Bench, name: str, folder: Path, pool: Sequence[Page]) -> None:
    """Recall and precision of each round, and of what the run keeps; the first and the last by kind."""
    planted = np.array([page.mathematics for page in pool])
    for number, found, gain in rounds(folder, pool):
        told(bench, f"{name}, round {number}", found, planted)
        bench.add(f"{name}, round {number}", "corpusmill", gain, "gain")
    kept = left(folder, pool)
    told(bench, f"{name}, kept", kept, planted)
    kinds = np.array([page.kind for page in pool])
    for kind in sorted({page.kind for page in pool if page.mathematics}):
        of_kind = planted & (kinds == kind)
        bench.add(f"{name}, kept: {kind}", "corpusmill", float(kept[of_kind].mean()), "recall")


def told(bench: Bench, job: str, found: npt.NDArray[np.bool_], planted: npt.NDArray[np.bool_]) -> None:
    right = int((found & planted).sum())
    bench.add(job, "corpusmill", right / int(planted.sum()), "recall")
    bench.add(job, "corpusmill", right / max(1, int(found.sum())), "precision")


def rounds(folder: Path, pool: Sequence[Page]) -> Iterator[tuple[int, npt.NDArray[np.bool_], float]]:
    """The number of each round, which pages it finds, and its gain."""
    import pyarrow as pa

    from corpusmill.filters.recall_loop import RecallLoop
    from corpusmill.filters.rules.recall_rounds import FILE, Finder, Rounds
    from corpusmill.filters.rules.sites import sites_of
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Context

    table = {
        "text": pa.array([page.text for page in pool], pa.large_string()),
        "url": pa.array([page.url for page in pool]),
    }
    docs = Documents(pa.table(table))
    options = RecallLoop(from_sources=("web",))
    hit, near = options.hit_at_least, options.hit_in_sites_at_least
    near = 0.0 if "hit_in_sites_at_least: 0," in (folder / "recipe.yaml").read_text("utf-8") else near
    for one in Rounds.read(data_of(folder, "recall_loop.figures") / FILE).rounds:
        places = {part: data_of(folder, f"recall_loop.{part}-{one.round}") for part in ("train", "round")}
        finder = Finder.of(Context(0, places), "train", "round")
        yield one.round, finder.finds(docs, sites_of(docs), hit, near), one.gain


def left(folder: Path, pool: Sequence[Page]) -> npt.NDArray[np.bool_]:
    """Which pages the run keeps."""
    import pyarrow.ipc as ipc
    import pyarrow.parquet as pq

    urls: dict[str, str] = {}
    for file in data_of(folder, "web").glob("*.parquet"):
        rows = pq.read_table(file, columns=["id", "url"])
        urls.update(zip(rows.column("id").to_pylist(), rows.column("url").to_pylist(), strict=True))
    for file in data_of(folder, "recall_loop").glob("*.removed.arrow"):
        for identity in ipc.open_file(file).read_all().column("id").to_pylist():
            del urls[identity]
    kept = set(urls.values())
    return np.array([page.url in kept for page in pool])


def data_of(folder: Path, step: str) -> Path:
    (found,) = (folder / "run" / "steps" / step).glob("*/data")
    return found


if __name__ == "__main__":
    bounded(main)
