"""One small trained tokenizer for all tests of the room."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from corpusmill.pipelines.stage import Context
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from tests.oracles.tokenizer_counts import trained
from tests.oracles.tokenizer_texts import DATA, as_documents, made_texts


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "tokenizer"
    trained(folder, [as_documents(made_texts(300))], seed=5, vocab_size=700, held_out=0)
    return folder


@pytest.fixture
def context(tokenizer_folder: Path) -> Context:
    return Context(seed=5, artefacts={"tokenizer": tokenizer_folder})


@pytest.fixture(scope="session")
def deepseek_folder(deepseek_json: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artefact that loading it makes."""
    folder = tmp_path_factory.mktemp("deepseek-artefact")
    LoadTokenizer(path=deepseek_json).run({}, folder)
    return folder


@pytest.fixture(scope="session")
def deepseek_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released DeepSeek-V3 tokenizer.json, unpacked."""
    packed = DATA / "tokenizers" / "deepseek_v3.tokenizer.json.zst"
    if not packed.exists():
        pytest.skip(f"{packed} is not there; set CORPUSMILL_DATA")
    path = tmp_path_factory.mktemp("deepseek") / "tokenizer.json"
    with packed.open("rb") as source:
        path.write_bytes(zstandard.ZstdDecompressor().stream_reader(source).read())
    return path
