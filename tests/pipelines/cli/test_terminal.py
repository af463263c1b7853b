"""Foreign text reaches a terminal escaped, whatever it came through."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.system.terminal import GuardedStream, harmless, one_line, unguarded
from tests.waiting import PATIENCE
from tests.warm import Warm

HARMFUL = "\x1b]0;title\x07 \r \x7f \x9b31m \u202e \u2066 \u200f \u2028 \ud800 \U000e0041"


def test_harmful_characters_are_escaped_and_text_stays() -> None:
    shown = harmless(HARMFUL)
    assert shown.isascii()
    assert json.loads(f'"{shown}"') == HARMFUL
    text = "naïve 中文 עברית a\u0301 👩\u200d🚀\ttab\nline"
    assert harmless(text) == text
    assert one_line("a\nb\tc\x1b") == "a\\nb\\tc\\u001b"


def test_a_guarded_stream_is_the_stream_but_for_what_is_written() -> None:
    held = io.StringIO()
    stream = GuardedStream(held, lambda text: text.replace("secret", "${NAME}"))
    stream.writelines(["a\x1b", "secret\n"])
    assert held.getvalue() == "a\\u001b${NAME}\n"
    assert stream.getvalue() == held.getvalue()
    assert unguarded(stream) is held
    with pytest.raises(TypeError):
        stream.write(b"bytes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "recipe",
    [
        'name: x\n"so\\e[31mrces": {}\nsources: {a: {read: {jsonl: a.jsonl}}}\n',
        'name: "\\e[2Jx"\nsources: {a: {read: {jsonl: a.jsonl}}}\n',
        'name: x\nsources: {"a\\e[1m\\nerror: forged": {read: {jsonl: a.jsonl}}}\n',
        'name: x\nsources: {a: {read: {jsonl: "\\e[31m\\u009b7m\\u202ea"}}}\n',
        'name: x\nsources: {a: {read: {jsonl: a.jsonl}, steps: [{"l\\e[5m": {}}]}}\n',
        'name: x\nsources: {a: {read: {jsonl: {files: a.jsonl, "te\\e[5mxt": 1}}}}\n',
        'name: x\nplugins: ["\\e[31mp.py"]\nsources: {a: {read: {jsonl: a.jsonl}}}\n',
        'name: x\nengine: {kind: "\\e[31mprocess"}\nsources: {a: {read: {jsonl: a.jsonl}}}\n',
        "name: x\nsources: {a: {read: {jsonl: ${TITLE}}}}\n",
    ],
)
def test_nothing_of_a_recipe_reaches_the_terminal_raw(recipe: str, warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "\x1b[31mr.yaml").write_text(recipe)
    (tmp_path / "a.jsonl").write_text('{"text": "some words"}\n')
    env = {"TITLE": "\x1b]0;title\x07"}
    done = warm.call("validate", "\x1b[31mr.yaml", folder=tmp_path, env=env)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert harmless(said) == said
    assert "\nerror: forged" not in said


def test_progress_on_a_terminal_escapes_what_a_document_says(tmp_path: Path) -> None:
    """The bars need escape sequences; a message beside them must not bring its own."""
    code = (
        "import sys\nfrom corpusmill.pipelines.cli.progress import progress\n"
        "from corpusmill.pipelines.system.terminal import guard_streams\n"
        "import logging, warnings\nguard_streams()\n"
        "with progress() as listener:\n"
        "    listener.say('one \\x1b]0;A\\x07 [red]plain[/red]')\n"
        "    logging.getLogger('corpusmill').warning('two \\x1b]0;B\\x07')\n"
        "    sys.stderr.write('three \\x1b]0;C\\x07\\n')\n"
    )
    ours, theirs = pty.openpty()
    try:
        env = {**os.environ, "TERM": "xterm"}
        subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True, env=env, timeout=PATIENCE)
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 1 << 16):
                said += piece
        except OSError:
            pass  # the other end is closed: all is read
    finally:
        os.close(ours)
    for word, title in ((b"one", b"A"), (b"two", b"B"), (b"three", b"C")):
        assert word in said
        assert b"\x1b]0;" + title not in said
    assert b"[red]plain[/red]" in said


@pytest.mark.parametrize(
    ("recipe", "flags", "words"),
    [
        ('name: x\nsources: {a: {read: {jsonl: "a\\0b"}}}\n', [], "holds a NUL character; remove it"),
        ('name: x\nsources: {"a\\0b": {read: {jsonl: a}}}\n', [], "the key holds a NUL character"),
        ("name: x\noutput: ${ODD}\nsources: {a: {read: {jsonl: a}}}\n", [], "no text (UTF-8)"),
        ("name: x\nsources: {a: {read: {jsonl: a}}}\n", ["--set", "output=\udcff"], "no text (UTF-8)"),
        ("name: x\nsources: {a: {read: {jsonl: a}}}\n", ["--set", 'output="a\\0b"'], "NUL character"),
    ],
)
def test_a_text_that_no_path_can_be_is_told_with_its_cure(
    recipe: str, flags: list[str], words: str, warm: Warm, tmp_path: Path
) -> None:
    (tmp_path / "r.yaml").write_text(recipe)
    done = warm.call("run", "r.yaml", *flags, folder=tmp_path, env={"ODD": "o\udcff"})
    assert done.returncode == 1
    assert words in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_argument_with_nul_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from corpusmill.pipelines.cli.failures import run_and_exit
    from corpusmill.pipelines.cli.main import app

    with pytest.raises(SystemExit) as ended:
        run_and_exit(app, ["inspect", "a\0b"])
    assert ended.value.code == 1
    assert "NUL" in capsys.readouterr().err
