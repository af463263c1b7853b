"""Mutation fuzzer of the readers: damaged files are read as far as they are sound, and the rest is told.

    python -m tests.faults.mutate --seconds 600            # by hand
    python -m tests.faults.mutate --seed 3 --only parquet  # one format, other mutations

A small sound file of every format is damaged (bits flipped, ranges zeroed, deleted, repeated or moved, the
end cut off) and indexed and read in a child process, as a run does it. Wrong is:

- `traceback`: something is raised that would end the run;
- `hang`, `memory`: the child is not done within `--limit` seconds, or holds more than `MEMORY`;
- `abort`: the child dies, and a run over that file and a sound one does not end with the sound one read and
  the damaged one quarantined;
- `silent`: a document of the sound file is missing, and nothing is quarantined, removed or altered;
- `altered`: a document comes out that was not in the sound file, though the format has checksums;
- `uncounted`: documents and quarantined rows of a Parquet file whose footer is sound are not all its rows.

Formats without counts or checksums cannot tell that whole lines or files are cut off; there `silent` is asked
of mutations that keep the length alone. Nor can those with counts tell that whole records are. Everything
follows from `--seed`: case n of a format is always the same.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.faults.samples import SAMPLES, Sample, reader_of
from tests.waiting import PATIENCE

MEMORY = 1500 * 2**20
WRONG = ("traceback", "hang", "memory", "abort", "silent", "altered", "uncounted")
Answer = dict[str, Any]


def mutate(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """`data` damaged in one to three places, and how."""
    kinds = draw.choices(("flip", "zero", "cut", "delete", "repeat", "move"), (10, 4, 3, 3, 2, 2), k=1)
    kinds *= draw.choice((1, 1, 1, 2, 3))
    for kind in kinds:
        at = draw.randrange(max(1, len(data)))
        length = min(draw.choice((1, 4, 16, 64, 256, 1024)), len(data) - at)
        if kind == "flip" and data:
            data = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        elif kind == "zero":
            data = data[:at] + bytes(length) + data[at + length :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "delete":
            data = data[:at] + data[at + length :]
        elif kind == "repeat":
            data = data[: at + length] + data[at:]
        elif kind == "move":
            to = draw.randrange(max(1, len(data)))
            data = data[:to] + data[at : at + length] + data[to + length :]
    return data, kinds[0]


def read_file(name: str, path: Path) -> Answer:
    """What a run would make of one file: texts, losses by reason, and what was raised."""
    import traceback

    from corpusmill.pipelines.run.operators.index import splits_of
    from corpusmill.pipelines.run.operators.read import RangeInUnit, batches_of
    from corpusmill.pipelines.sources.reader import Label

    reader = reader_of(SAMPLES[name])
    texts: list[str] = []
    losses: Counter[str] = Counter()
    try:
        for split in splits_of(reader, path, path.name, None):
            place = RangeInUnit(0, None, None)
            for docs, removed, quarantined in batches_of(
                reader, path, path.name, split, Label("fuzz", "web"), None, place
            ):
                column = "raw" if docs is not None and "raw" in docs.table.column_names else "text"
                texts += [] if docs is None else [str(value) for value in docs.column(column).to_pylist()]
                losses.update(f"removed {lost.why}" for lost in removed)
                losses.update(f"quarantined {lost.why}" for lost in quarantined)
                assert all(lost.position for lost in quarantined), "a loss without a place"
    except Exception:  # noqa: BLE001  # that is what is looked for
        return {"traceback": traceback.format_exc(limit=-6)}
    status = Path("/proc/self/status").read_text()  # getrusage would begin with what the parent holds
    memory = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return {"texts": texts, "losses": dict(losses), "memory": memory}


def serve() -> None:
    """The child: a line of format and path in, a line of JSON out."""
    for line in sys.stdin:
        name, path = json.loads(line)
        sys.stdout.write(json.dumps(read_file(name, Path(path))) + "\n")
        sys.stdout.flush()


class Child:
    """A process that reads files and may die of it."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._process: subprocess.Popen[str] | None = None

    def ask(self, name: str, path: Path) -> Answer | str:
        """The answer, or `hang` or `abort`; a new process takes over then."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.faults.mutate", "--child"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([name, str(path)]) + "\n")
        process.stdin.flush()
        line = _line(process.stdout, self._limit)
        if line:
            answer: Answer = json.loads(line)
            if answer.get("memory", 0) > MEMORY:
                self.close()
            return answer
        self.close()
        return "hang" if line is None else "abort"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _line(stream: IO[str], seconds: float) -> str | None:
    """The next line, "" where the process is dead, None where none comes in time."""
    return stream.readline() if select.select([stream], [], [], seconds)[0] else None


def judge(sample: Sample, sound: Answer, found: Answer, kind: str) -> list[str]:
    """What is wrong with reading a damaged file; empty where nothing is."""
    if "traceback" in found:
        return ["traceback"]
    wrong = ["memory"] if found["memory"] > MEMORY else []
    before, after = Counter(sound["texts"]), Counter(found["texts"])
    missing = sum((before - after).values())
    altered = [text for text in after if text not in before]
    losses = Counter(found["losses"]) - Counter(sound["losses"])
    keeps_length = kind in ("flip", "zero", "move")
    if missing and not losses and not altered and (sample.counted or keeps_length):
        wrong.append("silent")
    if altered and sample.checksums:
        wrong.append("altered")
    if sample.rows and "quarantined corrupt_input" not in losses:
        quarantined = sum(n for why, n in found["losses"].items() if why.startswith("quarantined"))
        if len(found["texts"]) + quarantined != sample.rows:
            wrong.append("uncounted")
    return wrong


def lacks_whole_parts(sample: Sample, data: bytes) -> bool:
    """Whether `data` is the sound file without some of its records, which no format here can tell."""
    return any(
        len(data) == start + len(sample.data) - end and data == sample.data[:start] + sample.data[end:]
        for start in sample.bounds
        for end in sample.bounds
    )


def run_goes_on(sample: Sample, path: Path, folder: Path) -> bool:
    """Whether a run over a damaged file that kills its reader reads a sound one beside it all the same."""
    source = folder / "run"
    (source / "in").mkdir(parents=True, exist_ok=True)
    sample.write(source / "in" / f"0{sample.suffix}", path.read_bytes())
    sample.write(source / "in" / f"1{sample.suffix}", sample.data)
    recipe = {
        "name": "fuzz",
        "output": f"out-{time.monotonic_ns()}",
        "engine": {"workers": 1},
        "sources": {"s": {"read": {sample.reader: {"files": f"in/*{sample.suffix}", **sample.options}}}},
    }
    (source / "recipe.yaml").write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "corpusmill", "run", str(source / "recipe.yaml")]
    return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE).returncode == 0


@dataclass
class Fault:
    """One case that went wrong, enough to make it again."""

    format: str
    case: int
    kind: str
    wrong: list[str]
    detail: str


def cases(names: list[str], count: int | None, seconds: float | None) -> Iterator[tuple[str, int]]:
    """Formats in turn, until each had `count` cases or the time is over."""
    end = None if seconds is None else time.monotonic() + seconds
    number = 0
    while (count is None or number < count) and (end is None or time.monotonic() < end):
        yield from ((name, number) for name in names)
        number += 1


def campaign(
    names: list[str], *, seed: int, count: int | None, seconds: float | None, limit: float, folder: Path
) -> tuple[dict[str, Counter[str]], list[Fault]]:
    """Figures by format, and what went wrong."""
    figures = {name: Counter[str]() for name in names}
    faults: list[Fault] = []
    child = Child(limit)
    sound: dict[str, Answer] = {}
    try:
        for name in names:
            sample = SAMPLES[name]
            path = folder / f"sound{sample.suffix}"
            sample.write(path, sample.data)
            answer = child.ask(name, path)
            assert isinstance(answer, dict), f"{name}: the sound file gives {answer}"
            assert len(answer.get("texts", [])) >= sample.documents, f"{name}: {answer}"
            sound[name] = answer
        for name, number in cases(names, count, seconds):
            sample = SAMPLES[name]
            data, kind = mutate(sample.data, random.Random(f"{seed}/{name}/{number}"))
            path = folder / f"case{sample.suffix}"
            sample.write(path, data)
            found = child.ask(name, path)
            tally = figures[name]
            tally["cases"] += 1
            detail = ""
            if isinstance(found, str):
                tally["died"] += found == "abort"
                wrong = [found] if found == "hang" or not run_goes_on(sample, path, folder) else []
            else:
                wrong = judge(sample, sound[name], found, kind)
                if "silent" in wrong and lacks_whole_parts(sample, data):
                    wrong.remove("silent")
                detail = found.get("traceback", "")
                tally["as before"] += found.get("texts") == sound[name]["texts"]
                tally["losses told"] += bool(found.get("losses") and found["losses"] != sound[name]["losses"])
            tally.update(wrong)
            if wrong:
                faults.append(Fault(name, number, kind, wrong, detail))
    finally:
        child.close()
    return figures, faults


def show(figures: dict[str, Counter[str]], faults: list[Fault], seed: int) -> None:
    """A table of figures, and every case that went wrong."""
    columns = ("cases", "as before", "losses told", "died", *WRONG)
    print(f"{'format':<14}" + "".join(f"{column:>12}" for column in columns))
    for name, tally in figures.items():
        print(f"{name:<14}" + "".join(f"{tally[column]:>12,}" for column in columns))
    for fault in faults[:50]:
        print(f"{fault.format} case {fault.case} of seed {seed} ({fault.kind}): {', '.join(fault.wrong)}")
        if fault.detail:
            print("    " + fault.detail.strip().replace("\n", "\n    "))


def main() -> int:
    """The command line; returns 1 where anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutate", description="fuzz the readers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=None, help="how long to go on (default: 60)")
    parser.add_argument("--cases", type=int, default=None, help="how many cases a format, instead")
    parser.add_argument("--only", nargs="*", default=sorted(SAMPLES), choices=sorted(SAMPLES))
    parser.add_argument("--limit", type=float, default=60, help="seconds that one file may take")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve()
        return 0
    seconds = 60.0 if options.seconds is None and options.cases is None else options.seconds
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        figures, faults = campaign(
            options.only,
            seed=options.seed,
            count=options.cases,
            seconds=seconds,
            limit=options.limit,
            folder=Path(folder),
        )
    show(figures, faults, options.seed)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
