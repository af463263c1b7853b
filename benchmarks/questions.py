"""Questions to a run of a million documents: `query`, `sample`, `what-if` and `explain`.

    python benchmarks/questions.py [--quick] [--json] [--run FOLDER]

A corpus is made and run: 1,000,000 documents (`--quick`: 1,000, and every second question) of 20 to 140 words
in four sources and three languages, a filter with limits, exact duplicates. `--run FOLDER` makes corpus and
run there, or takes a run that is there. Each question is a command of its own, as people ask it: `CPU
seconds` of user and system with what starting Python costs, the least of three, and `peak memory`. polars has
one thread.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import Bench, arguments, bounded

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe

SOURCES, FILES, TIMES = 4, 8, 3
_MAKE = "--make"
WORDS = {
    code: words.split()
    for code, words in {
        "en": "the river of town and that harbour with lamp have stone morning be window road letter to",
        "de": "der Fluss und die Stadt mit dem Hafen das Licht ist nicht ein Morgen von Fenster auf",
        "fr": "la ville et le port avec une lampe de pierre matin que la fenetre est sur une lettre",
    }.items()
}
RECIPE = """
name: questions
output: run
seed: 3
engine: {kind: KIND, workers: 2}
sources:
SOURCES
dedup: [exact]
"""
SOURCE = """  s{number}:
    read: {{jsonl: s{number}/*.jsonl}}
    steps: [gopher_quality: {{min_words: 50}}]
"""
QUESTIONS: dict[str, Sequence[str]] = {
    "query: documents by language": (
        "query", "RUN", "select lang, count(*) as n, sum(bytes) as bytes from documents group by lang",
    ),
    "query: reasons by stage": (
        "query", "RUN", 
        "select stage, reason, count(*) as n, sum(bytes) as b from removed group by stage, reason",
    ),
    "query: sites with most text": (
        "query", "RUN",
        "select site, count(*) as n, sum(bytes) as b from documents group by site order by b desc limit 20",
    ),
    "query: texts that match": (
        "query", "RUN", "select id, url from documents where text like '%harbour harbour harbour%' limit 20",
    ),
    "query: scores": (
        "query", "RUN", "select source, avg(gopher_quality_words) as w from scores group by source",
    ),
    "sample: 20 kept": ("sample", "RUN", "-n", "20"),
    "sample: 20 of a reason": ("sample", "RUN", "--reason", "gopher_short_doc", "-n", "20"),
    "what-if: one threshold": ("what-if", "RUN", "--set", "s0.gopher_quality.min_words=30"),
    "what-if: a sweep": ("what-if", "RUN", "--sweep", "s0.gopher_quality.min_words=10:100:10"),
    "explain: one document": ("explain", "https://site9.example/s0/9", "--run", "RUN"),
}  # fmt: skip


def records(number: int, count: int) -> Iterator[dict[str, str]]:
    """Documents of a source; every twentieth is a copy of one before it."""
    draw = random.Random(number)
    text = ""
    for place in range(count):
        lang = ("en", "en", "de", "fr")[place % 4]
        if place % 20 != 19:
            text = " ".join(draw.choices(WORDS[lang], k=draw.randint(20, 140)))
        yield {"url": f"https://site{place % 97}.example/s{number}/{place}", "text": text, "lang": lang}


def made_run(folder: Path, documents: int, kind: str = "process") -> Path:
    """The run in a folder, made where it is not there."""
    if (folder / "run" / "current.json").exists():
        return folder / "run"
    if not (folder / "recipe.yaml").exists():
        for number in range(SOURCES):
            (folder / f"s{number}").mkdir(parents=True, exist_ok=True)
            parts = [
                (folder / f"s{number}" / f"{part}.jsonl").open("w", encoding="utf-8") for part in range(FILES)
            ]
            for place, record in enumerate(records(number, documents // SOURCES)):
                parts[place % FILES].write(json.dumps(record) + "\n")
            for part in parts:
                part.close()
        listed = "".join(SOURCE.format(number=number) for number in range(SOURCES))
        (folder / "recipe.yaml").write_text(RECIPE.replace("SOURCES\n", listed).replace("KIND", kind))
    return run_recipe(load_recipe(folder / "recipe.yaml")).folder.path


def run_made_elsewhere(folder: Path, documents: int, kind: str) -> Path:
    """`made_run` in a process of its own, whose memory is not counted with that of questions."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, __file__, _MAKE, str(folder), str(documents), kind], check=True)
    return folder / "run"


def asked(words: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and peak MiB of a command."""
    command = [sys.executable, "-m", "corpusmill", *words]
    started = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "POLARS_MAX_THREADS": "1"}
    )
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {started.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    options = arguments(__doc__, lambda parser: parser.add_argument("--run", type=Path, help="folder"))
    bench = Bench("questions")
    documents, kind = (1_000, "inline") if options.quick else (1_000_000, "process")
    with tempfile.TemporaryDirectory() as name:
        run = run_made_elsewhere(options.run or Path(name), documents, kind)
        for job, words in list(QUESTIONS.items())[:: 2 if options.quick else 1]:
            command = [str(run) if word == "RUN" else word for word in words]
            times = [asked(command) for _ in range(1 if options.quick else TIMES)]
            bench.add(f"{job}: CPU seconds", "corpusmill", min(seconds for seconds, _ in times), "s")
            bench.add(f"{job}: peak memory", "corpusmill", max(size for _, size in times), "MiB")
    bench.print(options.json)


if __name__ == "__main__":
    if sys.argv[1:2] == [_MAKE]:
        made_run(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        bounded(main)
