"""No text of a document held out is trained on, and every token is in one place."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.tokenizer.shards.reader import open_shard

RECIPE = """\
name: apart
seed: 9
data: .
engine: {{kind: inline}}
sources:
  a: {{read: {{jsonl: a.jsonl}}, steps: []}}
{dedup}
tokenizer: {{train: {{vocab_size: 300}}}}
pack: {{sequence_length: 64, held_out: 0.3, fim: {{rate: 0.5}}}}
"""
DOCUMENTS = 60


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of which every second differs from the one before in one word of eighty."""
    folder = tmp_path_factory.mktemp("apart")
    draw = random.Random(4)
    words = ["".join(draw.choices("abcdefghijklmnop", k=6)) for _ in range(400)]
    lines = []
    for number in range(DOCUMENTS // 2):
        text = draw.choices(words, k=80)
        near = [*text[:40], "changed", *text[41:]]
        lines += [
            json.dumps({"id": f"{number}-{k}", "text": " ".join(each)}) for k, each in enumerate((text, near))
        ]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def packed(texts: Path, name: str, dedup: str) -> tuple[Path, dict[str, set[frozenset[str]]]]:
    """The run, and the sets of five-word shingles of what was trained on and of what was held out."""
    (texts / f"{name}.yaml").write_text(RECIPE.format(dedup=dedup))
    out = texts / name
    arguments = ["run", str(texts / f"{name}.yaml"), "--out", str(out)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)  # in this process, twice
    assert done.exit_code == 0, done.stderr
    steps = json.loads((out / "current.json").read_text())["steps"]
    data = out / "steps" / "pack" / steps["pack"][:16] / "data"
    tokenizer = out / "steps" / "tokenizer" / steps["tokenizer"][:16] / "data" / "tokenizer.json"
    from tokenizers import Tokenizer

    decode = Tokenizer.from_file(str(tokenizer)).decode
    found: dict[str, set[frozenset[str]]] = {"train": set(), "held_out": set()}
    for path in data.glob("*.arrow"):
        shard = open_shard(path)
        pieces: dict[str, list[tuple[int, list[int]]]] = {}
        for row in range(shard.rows):
            for piece in shard.pieces(row):
                ids = shard.tokens(row)[piece.start : piece.start + piece.length].tolist()
                pieces.setdefault(piece.document, []).append((piece.offset, ids))
        for parts in pieces.values():
            text = decode([i for _, ids in sorted(parts) for i in ids]).split()
            shingles = frozenset(" ".join(text[k : k + 5]) for k in range(len(text) - 4))
            found[shard.metadata["split"]].add(shingles)
    return out, found


def nearest(found: dict[str, set[frozenset[str]]]) -> float:
    """The largest overlap of a held-out and a training document: the share of the smaller's shingles."""
    return max(len(h & t) / min(len(h), len(t)) for h in found["held_out"] for t in found["train"])


def test_near_duplicates_do_not_cross_over(texts: Path) -> None:
    out, found = packed(texts, "with", "dedup: [exact, {minhash: {preset: verified}}]")
    assert len(found["held_out"]) >= 4
    assert len(found["train"]) + len(found["held_out"]) == DOCUMENTS // 2
    assert nearest(found) < 0.1
    whole, without = packed(texts, "without", "")  # the step held_out removes what would cross over
    assert nearest(without) < 0.8
    removed = json.loads(next(whole.glob("steps/held_out.overlap/*/data/overlap.json")).read_text())[
        "removed"
    ]
    assert removed["held_out"] + removed["learnt"] > 0 == removed["common"]
    left = len(without["train"]) + len(without["held_out"])
    assert left == DOCUMENTS - removed["held_out"] - removed["learnt"]
    report = json.loads((whole / "report" / "report.json").read_text())["held_out"]
    assert report["removed"] == removed
    assert report["highest_overlap"] == pytest.approx(nearest(without), abs=1e-9) or nearest(without) < 0.25
    page = (whole / "report" / "report.html").read_text()
    assert "Documents held out by source" in page

    plan = json.loads(next(out.glob("steps/mixture/*/data/plan.json")).read_text())
    counts = [open_shard(path).metadata["counts"] for path in sorted(out.glob("steps/pack/*/data/*.arrow"))]
    apart, trained = counts
    assert apart["fim_documents"] == 0 < trained["fim_documents"]
    assert trained["tokens"] == plan["tokens"]
    assert apart["tokens"] == plan["held_out"]["tokens"]
    assert apart["bytes_by_source"]["a"] == plan["held_out"]["bytes"]
