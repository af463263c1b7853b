"""One small trained tokenizer for all tests of the room, and short checks of those that each test makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.pipelines.contract.stage import Context
from corpusmill.tokenizer.bpe import probes
from corpusmill.tokenizer.evaluation import round_trip
from corpusmill.tokenizer.export import verify
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from tests.oracles.released_tokenizers import unpacked
from tests.oracles.tokenizer_counts import trained
from tests.oracles.tokenizer_texts import as_documents, made_texts

FEW_CODES = [*range(0, 0xD800, 50), *range(0xE000, 0x110000, 50)]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "tokenizer"
    trained(folder, [as_documents(made_texts(300))], seed=5, vocab_size=700, held_out=0)
    return folder


@pytest.fixture(autouse=True)
def short_checks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the probe texts and every fiftieth code point, in the checks that every tokenizer that is
    written, loaded, exported or evaluated goes through; see `whole_checks`."""
    if "whole_checks" in request.fixturenames:
        return
    monkeypatch.setattr(probes, "COUNT", probes.COUNT // 10)
    monkeypatch.setattr(round_trip, "_code_points", lambda: FEW_CODES)
    monkeypatch.setattr(verify, "_long_texts", lambda: ["".join(map(chr, FEW_CODES)), " " * 500 + "a"])


@pytest.fixture
def whole_checks() -> None:
    """For a test of those checks themselves: they are as a user's."""


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
    path = tmp_path_factory.mktemp("deepseek") / "tokenizer.json"
    path.write_bytes(unpacked("deepseek_v3.tokenizer.json.zst"))
    return path
