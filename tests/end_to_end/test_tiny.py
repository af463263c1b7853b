"""The main job, whole: from pages, code and mathematics to shards and a trained model, on every engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow.ipc as ipc

from corpusmill.pipelines.storage.committed import count_committed
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.waiting import wait_until

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., "subprocess.Popen[bytes]"]
Hashes = Callable[[Path], dict[str, str]]


def manifest(run: Path, step: str) -> dict[str, object]:
    fingerprint = json.loads((run / "current.json").read_text())["steps"][step]
    value: dict[str, object] = json.loads(
        (run / "steps" / step / fingerprint[:16] / "manifest.json").read_text()
    )
    return value


def folder(run: Path, step: str) -> Path:
    fingerprint = json.loads((run / "current.json").read_text())["steps"][step]
    return run / "steps" / step / fingerprint[:16] / "data"


def without_training(found: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if not name.startswith("steps/train")}


def test_ray_gives_the_same_bytes(run_tiny: Run, calm: Path, hashes_of: Hashes, tmp_path: Path) -> None:
    """One worker and the driver's own process are compared by the kills below; here the model as well."""
    done = run_tiny(tmp_path / "run", settings=("engine.kind=ray",))
    assert done.returncode == 0, done.stderr
    expected, found = hashes_of(calm), hashes_of(tmp_path / "run")
    assert {name for name in expected if found.get(name) != expected[name]} == set()
    assert set(found) == set(expected)


def committed(run: Path) -> int:
    """How many units the steps of a run have committed, which may be at work."""
    return sum(count_committed(StepFolder(path)) for path in run.glob("steps/*/*"))


def committed_files(run: Path) -> dict[Path, int]:
    """When each file of a committed unit was written, by its path; of a run that is not at work."""
    found: dict[Path, int] = {}
    for path in run.glob("steps/*/*"):
        folder = StepFolder(path)
        units = [unit for segment in folder.found_segments() for unit in segment.receipts()]
        units += [unit for number in folder.single_receipts() if (unit := folder.receipt(number))]
        found |= {folder.data / file.name: 0 for unit in units for file in unit.files}
    return {path: path.stat().st_mtime_ns for path in found}


def kill_after(more: int, process: subprocess.Popen[bytes], run: Path) -> None:
    """Kill the process group once so many units more are committed."""
    most = committed(run) + more
    wait_until(lambda: committed(run) >= most, f"{more} units are committed", process)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


# At a commit step of a worker or of the runner, or (a number) once so many units more are committed. Each
# comes somewhat further on than the one before.
KILLS: tuple[str | int, ...] = (
    "commit-before-rename:3",
    28,
    "commit-between-renames:9",
    "commit-before-receipt:11",
    "commit-after-receipt:6",
    "atomic-before-rename:20",
)


def test_kills_change_nothing(
    start_tiny: Start, warm_tiny: Run, calm: Path, hashes_of: Hashes, tmp_path: Path
) -> None:
    """One after the other in one run, on one and on three workers; then the driver's own process finishes it.
    Training is left to the calm run, which has two workers."""
    out = tmp_path / "run"
    for place in KILLS:
        before = committed_files(out)
        if isinstance(place, int):
            kill_after(place, start_tiny(out, "--until", "pack", "--set", "engine.workers=3"), out)
        else:
            killed = warm_tiny(
                *(out, "--until", "pack"),
                settings=("engine.workers=1",),
                env={"CORPUSMILL_FAULTPOINT": place},
            )
            assert killed.returncode == -signal.SIGKILL, place
        # Units that were committed before this attempt were neither redone nor touched.
        assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    assert 40 < committed(out) < committed(calm) - 5  # units are left for the last run
    done = warm_tiny(out, "--until", "pack", settings=("engine.kind=inline",))
    assert done.returncode == 0, done.stderr
    assert hashes_of(out) == without_training(hashes_of(calm))


def test_every_document_is_accounted_for(calm: Path) -> None:
    """Across the run: what was read is removed, quarantined, or encoded."""
    steps = json.loads((calm / "current.json").read_text())["steps"]
    read = lost = 0
    for step in steps:
        if step.startswith(("pack", "benchmark")):
            continue
        entries = manifest(calm, step)["ledger"]
        assert isinstance(entries, list)
        for entry in entries:
            read += entry["documents_in"] if entry["stage"] == "read" else 0
            lost += sum(n for n, _ in [*entry["removed"].values(), *entry["quarantined"].values()])
    assert read > 300
    assert read - lost == manifest(calm, "encode")["rows"]


def test_shards_hold_the_tokens_that_were_drawn(calm: Path) -> None:
    from corpusmill.tokenizer.shards.reader import open_shard

    plan = json.loads((folder(calm, "mixture") / "plan.json").read_text())
    drawn = sum(source["tokens"] for source in plan["sources"].values())
    shards = sorted(folder(calm, "pack").glob("*.arrow"))
    assert len(shards) == 2 * -(-drawn // 100_000)
    held = {"train": 0, "held_out": 0}
    for path in shards:
        shard = open_shard(path)
        shard.verify()
        held[shard.metadata["split"]] += shard.metadata["counts"]["tokens"]
        with ipc.open_file(path) as file:
            assert sum(file.get_batch(i).num_rows for i in range(file.num_record_batches)) == shard.rows
    assert held == {"train": drawn, "held_out": plan["held_out"]["tokens"]}
    assert held["held_out"] > 0


def test_explain_finds_what_left_and_what_stayed(calm: Path, corpusmill: Run) -> None:
    from corpusmill.pipelines.storage.datasets import read_unit
    from corpusmill.pipelines.storage.run_folder import RunFolder

    step = RunFolder(calm).current_step("math")
    assert step is not None
    identity = next(read_unit(step, 0, ["id"])).column("id")[0].as_py()
    told = corpusmill("explain", identity, "--run", calm)
    assert told.returncode == 0, told.stderr
    assert identity in told.stdout
    unknown = corpusmill("explain", "ffffffffffffffffffffffffffffffff", "--run", calm)
    assert unknown.returncode == 1
    assert "Traceback" not in unknown.stderr


def test_doctor_finds_a_flipped_byte(calm: Path, corpusmill: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(calm, copy)
    assert corpusmill("doctor", copy, "--deep").returncode == 0
    victim = next(folder(copy, "pack").glob("*.arrow"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    assert corpusmill("doctor", copy).returncode == 0  # it has the same size
    found = corpusmill("doctor", copy, "--deep", "--workers", "3")
    assert found.returncode == 2  # as every command that meets damage
    assert victim.name in found.stdout


def test_a_changed_option_reruns_only_what_depends_on_it(warm_tiny: Run, calm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(calm, copy)
    done = warm_tiny(copy, "--until", "pack", settings=("pack.fim.rate=0.5", "engine.kind=inline"))
    assert done.returncode == 0, done.stderr
    steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    rerun = {name for name, step in steps.items() if not step["reused"]}
    folds = {
        f"{fold}{part}" for fold in ("mixture_sums", "mixture") for part in (".partials", ".combine", "")
    }
    assert rerun == {"encode", *folds, "pack.scatter", "pack"}


def test_training_says_how_it_went(calm: Path) -> None:
    (unit,) = StepFolder(folder(calm, "train").parent).units
    summary = unit.summary
    assert summary["steps"] == 4
    assert 0 < summary["unigram_entropy"] < summary["ln_vocab"]
    assert (calm / "report" / "report.html").stat().st_size > 10_000


COMPRESSED = rb"\x04\x22\x4d\x18|\x28\xb5\x2f\xfd"
"""How a frame of LZ4 (lz4_Frame_format.md) or of Zstandard (RFC 8878, 3.1.1) begins."""


def test_a_flipped_bit_in_an_intermediate_stops_the_run(warm_tiny: Run, calm: Path, tmp_path: Path) -> None:
    """The shards are asked for again; what they are made from was damaged since."""
    copy = tmp_path / "copy"
    shutil.copytree(calm, copy)
    victim = next(
        path for path in folder(copy, "pack.scatter").glob("*.rows.arrow") if path.stat().st_size > 10_000
    )
    content = bytearray(victim.read_bytes())
    frames = [found.start() for found in re.finditer(COMPRESSED, content)]
    begins, ends = max(pairwise(frames), key=lambda frame: frame[1] - frame[0])
    content[(begins + ends) // 2] ^= 8  # amid the values of a column: what lies between them has no meaning
    victim.write_bytes(bytes(content))
    shutil.rmtree(folder(copy, "pack").parent)
    failed = warm_tiny(copy, "--until", "pack", settings=("engine.retries=0", "engine.kind=inline"))
    assert failed.returncode == 2
    assert victim.name in failed.stderr
    assert "--repair` makes it again" in failed.stderr
