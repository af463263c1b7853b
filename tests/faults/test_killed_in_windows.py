"""Workers of the engine `process` that are killed while rows of a hot key are shown in windows.

The plugin makes windows small, and kills the process that reads the next one where the file `kills` asks for
it: a number for each death, of windows that the worker has read before it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.inspection.run_record import load_record
from corpusmill.pipelines.run.operators.left_out import read_left_out
from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.faults.kill_campaign import hashes
from tests.pipelines.run.edited import rows_of
from tests.waiting import PATIENCE

PLUGIN = '''
"""Small windows, and deaths within them."""
import os
import signal
from pathlib import Path

from corpusmill.dedup.matching import equals
from corpusmill.pipelines.contract.stage import Edit
from corpusmill.pipelines.run.operators import buckets, layout, meeting, partitions

KILLS, WHOLE, GUILTY = (Path(__file__).with_name(name) for name in ("kills", "whole", "guilty"))
layout.LARGE = partitions.LARGE = 1
partitions.LEAST_BYTES, partitions.MOST_BYTES, partitions.WINDOW_BYTES = 500, 1500, 2000
layout.PIECE_BYTES, buckets.AT_ONCE = 500, 20
read, seen = partitions.read_windows, 0


def dying(*given):
    global seen
    for rows in read(*given):
        first, *rest = KILLS.read_text().split() if KILLS.exists() else ["0"]
        if seen == int(first) and KILLS.exists():
            KILLS.write_text(" ".join(rest)) if rest else KILLS.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
        yield rows


def noted(*given, **named):
    """All rows of a part at once: how many they are is noted."""
    rows = whole(*given, **named)
    with WHOLE.open("a") as file:
        file.write(f"{0 if rows is None else rows.num_rows}\\n")
    return rows


def removals(rows, *given):
    if GUILTY.exists() and int(GUILTY.read_text()) in rows.column("row").to_pylist():
        os.kill(os.getpid(), signal.SIGKILL)
    return found(rows, *given)


whole, found = meeting.read_partition, equals.removals_of_equals
meeting.read_windows, meeting.read_partition, equals.removals_of_equals = dying, noted, removals


class Nothing(Edit):
    """A plugin has a stage; this one changes nothing."""

    def edit(self, docs):
        return docs
'''
BANNER = "this paragraph stands in all of the pages of the site"


def finished(folder: Path, dedup: str, kills: str, guilty: str = "", windows: bool = True) -> dict[str, str]:
    """The digests of all that a run leaves of its deduplication, of whose workers so many are killed, and
    each that is shown the row `guilty` of equal ones."""
    folder.mkdir()
    plugin = PLUGIN if windows else PLUGIN.replace("= 500, 1500, 2000", "= 2**30, 2**30, 2**30")
    (folder / "small.py").write_text(plugin)
    texts = [f"{BANNER}\n\n{'copy' if n % 3 else n} of a text that is long enough" for n in range(200)]
    lines = [json.dumps({"text": text, "repo": f"r/{n // 4}"}) for n, text in enumerate(texts)]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(
        "name: killed\nplugins: [small.py]\noutput: out\nengine: {kind: process, workers: 1}\n"
        f"sources: {{a: {{read: {{jsonl: a.jsonl}}, allow_loss: 1}}}}\ndedup: [{dedup}]\n"
    )
    if guilty:
        (folder / "guilty").write_text(guilty)
    if kills:
        (folder / "kills").write_text(kills)
    command = [sys.executable, "-m", "corpusmill", "run", str(folder / "recipe.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert not (folder / "kills").exists(), "not all deaths came"
    every = hashes(folder / "out")
    return {path: digest for path, digest in every.items() if path.startswith("steps/dedup.")}


@pytest.mark.parametrize("dedup", ["exact", "paragraph", "repository"])
def test_workers_killed_within_windows_change_no_byte(tmp_path: Path, dedup: str) -> None:
    """While a round learns and while it writes, in the midst of a unit and again in its next attempts, which
    are shown windows too."""
    plain = finished(tmp_path / "plain", dedup, "")
    assert len(plain) >= 9
    assert finished(tmp_path / "killed", dedup, "1 2 2 5 9") == plain
    whole = [
        sorted((tmp_path / name / "whole").read_text().split(), key=int)[-1] for name in ("plain", "killed")
    ]
    assert whole[0] == whole[1]


def test_a_document_that_ends_workers_is_found_in_windows(tmp_path: Path) -> None:
    """Of 133 copies one ends each worker that is shown it; it is left out, as where all rows are shown at
    once."""
    found = []
    for windows in (True, False):
        folder = tmp_path / str(windows)
        finished(folder, "exact", "", "151", windows)
        record = load_record(RunFolder(folder / "out"))
        left = read_left_out(record.steps["dedup.exact.gather"].data).to_pylist()
        assert [(row["row"], row["cause"].split(":")[0]) for row in left] == [(151, "crash")]
        found.append(rows_of(record))
    assert found[0] == found[1]
    most = [max(map(int, (tmp_path / name / "whole").read_text().split())) for name in ("True", "False")]
    assert most[0] < 100 < most[1]
