"""Whole commands for `hostile.py`, as the command line calls them, on crafted files, runs and models."""

from __future__ import annotations

import io
import json
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
from hostile_shapes import Job, file_of, folder_of, numbered, repeated, then
from hostile_texts import TEXTS

_RECIPE = """name: r
engine: {kind: inline}
output: run
sources: {a: {read: {jsonl: "*.jsonl"}}}
"""
_DEDUPLICATED = _RECIPE + "dedup: [exact, minhash]\n"
_WHOLE = (
    _DEDUPLICATED
    + """tokenizer: {train: {vocab_size: 300}}
mixture: {tokens: 100K, max_epochs: 100}
pack: {sequence_length: 128}
"""
)


def command(*given: object, refused: bool = False) -> None:
    """Run a command, its output aside. `refused`: raise AssertionError where it does not refuse its input;
    without, what the command raises is raised, so that no refusal is measured in place of the work."""
    from corpusmill.pipelines.cli.main import app
    from corpusmill.pipelines.contract.errors import CorpusmillError

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            app([str(one) for one in given], standalone_mode=False)
        except CorpusmillError:
            if not refused:
                raise
        else:
            assert not refused, f"not refused: {given}"


def _line(text: str, **more: object) -> str:
    return json.dumps({"text": text, **more}) + "\n"


def _lines(size: int) -> str:
    return "".join(_line(f"document {n} of many") for n in range(size // 40))


CORPORA: dict[str, Callable[[int], dict[str, str]]] = {
    "tiny documents": lambda size: {"a.jsonl": _lines(size)},
    "equal documents": lambda size: {"a.jsonl": _line("the same document") * (size // 30)},
    "files": lambda size: {f"{n}.jsonl": _line(f"document {n} " * 200) for n in range(size // 2500)},
    **{
        f"one document of {shape}": then(TEXTS[shape], lambda text: {"a.jsonl": _line(text)})
        for shape in ("one letter", "blanks", "words", "ideographs", "signs")
    },
}


def _sources(size: int) -> dict[str, str]:
    """A source takes about 10 KB, with what its steps write."""
    many = max(1, size // 10_000)
    named = ", ".join(f'a{n}: {{read: {{jsonl: "{n}.jsonl"}}}}' for n in range(many))
    beginning, end = _RECIPE.split('{a: {read: {jsonl: "*.jsonl"}}}')
    return {
        "recipe.yaml": f"{beginning}{{{named}}}{end}dedup: [exact]\n",
        **{f"{n}.jsonl": _line(f"document {n} of many") for n in range(many)},
    }


def _corpus(files: Callable[[int], dict[str, str]], recipe: str) -> Callable[[int], Path]:
    return folder_of(lambda size: {"recipe.yaml": recipe, **files(size)})


def _run(folder: Path) -> Path:
    """The run of the recipe in `folder`, made anew."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    command("run", folder / "recipe.yaml")
    return folder / "run"


def _made(files: Callable[[int], dict[str, str]], recipe: str) -> Callable[[int], Path]:
    """A run of files."""
    make = _corpus(files, recipe)
    return lambda size: _run(make(size))


def runs() -> Iterator[Job]:
    """`validate`, `plan` and `run`."""
    for shape, files in CORPORA.items():
        yield Job(f"run: {shape}", _corpus(files, _DEDUPLICATED), _run, shape != "tiny documents")
        yield Job(f"run to shards: {shape}", _corpus(files, _WHOLE), _run, costly=True)
    yield Job("run: sources", folder_of(_sources), _run, costly=True)
    seen: dict[str, Callable[[int], dict[str, str]]] = {
        "files": CORPORA["files"],
        "one record": lambda size: {"a.jsonl": _line("a" * size)},
        "fields of a record": lambda size: {  # a record over 1 MiB decides nothing, so it is not refused
            "a.jsonl": numbered('"k#": 1, ', "{", '"z": 1}\n')(min(size, 100_000)) * max(1, size // 100_000)
        },
        "records without the field": lambda size: {"a.jsonl": '{"k": 1}\n' * (size // 9)},
        "sources": _sources,
    }
    for shape, files in seen.items():
        made = then(_corpus(files, _RECIPE), lambda at: at / "recipe.yaml")
        refused = shape in ("fields of a record", "records without the field")
        yield Job(f"validate: {shape}", made, partial(command, "validate", refused=refused))
        yield Job(f"plan: {shape}", made, partial(command, "plan", "--no-estimate", refused=refused))


def _logged(shape: str) -> Callable[[int], Path]:
    """A small run whose log is crafted."""
    event = {
        "steps": '{"event":"unit","step":"s#","seconds":1}\n',
        "lines that are no JSON": "{#\n",
        "starts": '{"event":"start","time":#,"command":"a"}\n',
    }[shape]

    def make(size: int) -> Path:
        run = _made(CORPORA["tiny documents"], _RECIPE)(4000)
        (run / "log" / "run.jsonl").write_text(numbered(event)(size))
        return run

    return make


def looks() -> Iterator[Job]:
    """`explain`, `report`, `doctor` and `inspect` on runs."""
    made: dict[str, Callable[[int], Path]] = {
        **{
            shape: _made(CORPORA[shape], _DEDUPLICATED)
            for shape in ("tiny documents", "equal documents", "one document of words")
        },
        "documents in shards": _made(CORPORA["tiny documents"], _WHOLE),
        "sources": lambda size: _run(folder_of(_sources)(size)),
        **{f"log of {shape}": _logged(shape) for shape in ("steps", "lines that are no JSON", "starts")},
    }
    for shape, make in made.items():
        yield Job(f"report of {shape}", make, lambda run: command("report", run), costly=True)
        yield Job(f"doctor on {shape}", make, lambda run: command("doctor", run), costly=True)
        yield Job(f"inspect a run of {shape}", make, lambda run: command("inspect", run), costly=True)
        if not shape.startswith("log"):
            found = partial(lambda make, size: _first_id(make(size)), make)
            yield Job(f"explain one of {shape}", found, _explain, shape != "tiny documents")
    one = _made(CORPORA["tiny documents"], _RECIPE)
    for shape, text in {"digits": "a", "letters": "g", "escapes": "\x1b"}.items():
        yield Job(
            f"explain an id of {shape}",
            then(repeated(text), lambda identity: (one(4000), identity)),
            partial(_explain, refused=True),
            costly=True,
        )


def _first_id(run: Path) -> tuple[Path, str]:
    from corpusmill.pipelines.inspection.found import FoundDataset
    from corpusmill.pipelines.inspection.inspect import inspect

    dataset = min((run / "steps").glob("a*/*/data/*.parquet"))
    found = inspect(dataset)
    assert isinstance(found, FoundDataset)
    return run, str(found.first_rows[0]["id"])


def _explain(given: tuple[Path, str], refused: bool = False) -> None:
    run, identity = given
    command("explain", "--run", run, identity, refused=refused)


@cache
def _tokenizer() -> str:
    """tokenizer.json of a byte-level tokenizer with some merges."""
    from tokenizers import pre_tokenizers, trainers

    from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, new_tokenizer

    made = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator([make(1000) for make in TEXTS.values()], trainer)
    return str(made.to_str())


def _against(text: Callable[[int], str]) -> Callable[[int], Path]:
    """A folder of a tokenizer and a text."""
    return folder_of(lambda size: {"tokenizer.json": _tokenizer(), "text.txt": text(size)})


def _grown(size: int) -> str:
    """The tokenizer with very many tokens, each a merge of the one before and a byte."""
    definition = json.loads(_tokenizer())
    vocabulary, merges = definition["model"]["vocab"], definition["model"]["merges"]
    first = [token for token in vocabulary if len(token) == 1]
    left = [f"{a}{b}" for a in first for b in first if f"{a}{b}" not in vocabulary]
    for token in left[: size // 60]:
        vocabulary[token] = len(vocabulary)
        merges.append([token[0], token[1]])
    return json.dumps(definition, ensure_ascii=False)


def tokenizers() -> Iterator[Job]:
    """Encoders, and `inspect` and `export` of tokenizers."""
    from corpusmill.pipelines.text.encoders import GigatokenEncoder, TokenizersEncoder

    def large(text: str) -> pa.Array:
        return pa.array([text], pa.large_string())

    for kind in (TokenizersEncoder, GigatokenEncoder):
        made = cache(lambda kind=kind: kind(json.loads(_tokenizer())))
        for shape, make in TEXTS.items():
            yield Job(
                f"encode {kind.__name__.removesuffix('Encoder').lower()}: {shape}",
                then(make, large),
                partial(lambda made, texts: made().encode(texts), made),
            )
    for shape, make in TEXTS.items():
        yield Job(
            f"inspect a tokenizer against {shape}",
            _against(make),
            lambda at: command("inspect", at / "tokenizer.json", "--against", at / "text.txt"),
            costly=True,
        )
    files: dict[str, Callable[[int], str]] = {
        "tokens": numbered('"t#": #, ', '{"model": {"type": "BPE", "vocab": {', '"z": 1}, "merges": []}}'),
        "merges": repeated('"a b", ', '{"model": {"type": "BPE", "vocab": {}, "merges": [', '"a b"]}}'),
        "added tokens": numbered(
            '{"id": #, "content": "<a#>", "special": true}, ',
            '{"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": [',
            "{}]}",
        ),
        "brackets": repeated("["),
    }
    for shape, content in files.items():
        made_file = file_of(".tokenizer.json", content)
        yield Job(
            f"inspect a tokenizer of {shape}", made_file, lambda at: command("inspect", at, refused=True)
        )
        yield Job(
            f"export a tokenizer of {shape}",
            made_file,
            lambda at: _into(at, "export", "--to", "gguf", refused=True),
        )
    for form in ("huggingface", "tiktoken", "gguf"):
        yield Job(
            f"export {form}: many tokens",
            file_of(".tokenizer.json", _grown),
            partial(lambda form, at: _into(at, "export", "--to", form), form),
            costly=True,
        )


def models() -> Iterator[Job]:
    """`curves`, `import` and `generate`."""
    metrics: dict[str, Callable[[int], str]] = {
        "steps": numbered('{"step":#,"tokens":#,"loss":1.5}\n'),
        "values of a step": numbered('"v#":1.5,', '{"step":1,"tokens":2,', '"z":1}\n'),
        "sources": numbered('"v#":1.5,', '{"step":1,"tokens":2,"loss_by_source":{', '"z":1}}\n'),
        "experts": repeated("1.5,", '{"step":1,"tokens":2,"experts":{"load":[', "1]}}\n"),
        "curves of their own": numbered('{"step":#,"tokens":#,"v#":1.5}\n'),
    }
    for shape, content in metrics.items():
        yield Job(
            f"curves: {shape}",
            folder_of(then(content, lambda text: {"train/metrics.jsonl": text})),
            lambda at: _into(at / "train", "curves"),
        )
    folders: dict[str, Callable[[int], dict[str, str | bytes]]] = {
        "keys of config.json": lambda size: {"config.json": numbered('"k#":1,', "{", '"z":1}')(size)},
        "tensors": lambda size: {"config.json": _config(), "model.safetensors": _tensors(size)},
        "tensors of an index": lambda size: {
            "config.json": _config(),
            "a.safetensors": _tensors(0),
            "model.safetensors.index.json": numbered(
                '"t#":"a.safetensors",', '{"weight_map":{', '"t0":"a.safetensors"}}'
            )(size),
        },
        "files of an index": lambda size: {
            "config.json": _config(),
            **{f"{n}.safetensors": _tensors(0, f"t{n}") for n in range(size // 1000)},
            "model.safetensors.index.json": json.dumps(
                {"weight_map": {f"t{n}": f"{n}.safetensors" for n in range(size // 1000)}}
            ),
        },
    }  # fmt: skip
    for shape, made in folders.items():
        yield Job(
            f"import: {shape}", folder_of(made), lambda at: _into(at, "import", refused=True), costly=True
        )
    requests: dict[str, Callable[[int], str]] = {
        "requests": repeated('{"prompt":"a"}\n', "", "{}\n"),
        "line breaks": repeated("\n", "", "{}\n"),
        "keys": numbered('"k#":1,', "{", '"z":1}'),
    }
    for shape, content in requests.items():
        yield Job(
            f"generate: {shape}",
            file_of(".jsonl", content),
            lambda at: command("generate", "nothing", "--file", at, refused=True),
        )


@cache
def _config() -> str:
    """config.json of a small model."""
    from corpusmill.training_hooks.model.config import preset

    return json.dumps(preset("v3-tiny", 512).to_json())


def _tensors(size: int, name: str = "t0") -> bytes:
    """A safetensors file whose header has about `size` bytes."""
    one = '"{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    names = [name, *(f"t{n}" for n in range(1, size // len(one)))]
    head = ("{" + ",".join(one.format(each) for each in names) + "}").encode()
    return struct.pack("<Q", len(head)) + head


def _into(given: Path, name: str, *options: str, refused: bool = False) -> None:
    """A command that writes into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        command(name, given, Path(folder) / "out", *options, refused=refused)
