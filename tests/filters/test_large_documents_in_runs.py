"""A run on one large document: the most memory that it takes, as the kernel counts it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

MOST = 7
"""Bytes of memory a byte of text, beside what a run takes on a small document."""

RECIPE = """\
name: {name}
data: .
engine: {{kind: inline}}
sources:
  web:
    read: {{jsonl: {{files: {name}.jsonl, max_record_bytes: 1GB}}}}
    allow_loss: 1
    steps:
    - language: {{at_least: null}}
    - gopher_quality: {{by_language: {{}}, max_words: null, min_stop_words: null}}
    - gopher_repetition:
        by_language: {{}}
        max_top_ngrams: {{2: 1, 3: 1}}
        max_duplicate_ngrams: {{5: 1, 10: 1}}
    - fineweb_quality: {{by_language: {{}}, max_duplicate_line_characters: 1}}
    - c4: {{languages: null}}
    - math_score: {{at_least: null}}
    - personal_data
    - code_origin
    - open_coder: {{max_bytes: null, min_letters: null, max_repeated_lines: null}}
"""
PROGRAM = """\
import re, sys
from pathlib import Path
from corpusmill.pipelines.cli.main import main

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

for name in ("small", "large"):
    sys.argv = ["corpusmill", "run", f"{name}.yaml"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
    print("most", most())
"""


def text(size: int) -> str:
    """About `size` bytes: lines of words, few of them frequent, with a character of four bytes at the end."""
    rng = random.Random(5)
    words = ["".join(rng.choices("etaoinshrdlucmfy", k=rng.randint(2, 9))) for _ in range(50_000)]
    frequent = [words[min(int(rng.paretovariate(0.6)), len(words)) - 1] for _ in range(200_000)]
    lines, length = [], 0
    while length < size:
        lines.append(" ".join(rng.sample(frequent, 16)) + ".")
        length += len(lines[-1]) + 1
    return "\n".join(lines) + " \U0001f642"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux for the most memory")
def test_memory_is_a_few_bytes_a_byte(tmp_path: Path) -> None:
    """Read, scored, edited and written; with a character of four bytes a Python string of it takes four times
    its bytes."""
    large = text(24_000_000)
    for name, content in (("small", large[-200_000:]), ("large", large)):
        (tmp_path / f"{name}.jsonl").write_text(
            json.dumps({"text": content}, ensure_ascii=False) + "\n", "utf-8"
        )
        (tmp_path / f"{name}.yaml").write_text(RECIPE.format(name=name), "utf-8")
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    accounts = [line.split() for line in ended.stdout.splitlines() if line.startswith("web ")]
    assert accounts == [["web", "1", "0", "0", "1", "100.0%"]] * 2, ended.stdout
    small, most = (int(line.split()[1]) for line in ended.stdout.splitlines() if line.startswith("most"))
    taken = (most - small) / len(large.encode())
    print(f"{taken:.2f} bytes a byte; {small / 1e6:.0f} MB on a small document")
    assert 1 <= taken <= MOST
