"""`corpusmill generate`: text from a trained model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.records.generation import Completion, Generated, GenerationStatistics

if TYPE_CHECKING:
    from corpusmill.training_hooks.inference.generation import Statistics
    from corpusmill.training_hooks.inference.text_tokens import TextTokens

_KEYS = ({"prompt"}, {"prefix", "suffix"})


def generate(
    model: Path,
    *,
    requests: Sequence[Mapping[str, str]] = (),
    file: Path | None = None,
    tokenizer: Path | None = None,
    max_tokens: int = 128,
    samples: int = 1,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    draft: int = 0,
    ema: bool = False,
    device: str = "cpu",
    threads: int | None = None,
) -> Generated:
    """Continue each request, `{"prompt": text}` or, to fill in between, `{"prefix": text, "suffix": text}`.

    `file`: further requests, one JSON object a line where its name ends in .jsonl, else its whole text as one
    prompt. `samples` of each are generated, all at once. `tokenizer`: a folder, null for the model's own.
    `draft`: MTP modules to draft with. For the rest see `inference.sampling.Sampling` and
    `inference.locate.locate`. Raises UserError naming what
    is wrong and what to do.
    """
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.training_hooks.trainer.require_torch import require_torch

    require_torch()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads sleep: see trainer
    import torch

    from corpusmill.training_hooks.inference.generation import generate as continued
    from corpusmill.training_hooks.inference.locate import choose_tokenizer, locate
    from corpusmill.training_hooks.inference.open_model import open_model
    from corpusmill.training_hooks.inference.sampling import Sampling
    from corpusmill.training_hooks.inference.text_tokens import TextTokens

    asked = [*requests, *(_read(file) if file is not None else [])]
    if not asked:
        raise UserError("nothing to generate from: give a prompt, a prefix and a suffix, or a file")
    try:
        sampling = Sampling(temperature, top_k, top_p, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    if samples > 1 and temperature == 0:
        raise UserError("without a temperature every sample is the same; give one, or ask for one sample")
    found = locate(model)
    opened = open_model(found.weights, mtp=None if draft else False, ema=ema)
    if draft > len(opened.mtp):
        raise UserError(f"{found.weights}: {len(opened.mtp)} MTP modules to draft with, {draft} asked for")
    chosen = choose_tokenizer(model, found.tokenizer, tokenizer)
    text = TextTokens(chosen, opened.config.vocab_size, found.framing)
    prompts = [_tokens(text, request) for request in asked for _ in range(samples)]
    if device != "cpu" and not torch.cuda.is_available():
        raise UserError(f"torch {torch.__version__} finds no GPU it can use; leave `--device` out")
    if threads is not None:
        torch.set_num_threads(threads)
    continuations, statistics = continued(
        opened.to(device),
        prompts,
        max_new_tokens=max_tokens,
        sampling=sampling,
        stop={text.special("eos")},
        draft=draft,
    )
    completions = tuple(
        Completion(
            **asked[number // samples],
            text=text.decode(one.tokens),
            tokens=len(one.tokens),
            ended=one.ended,
        )
        for number, one in enumerate(continuations)
    )
    return Generated(str(found.weights), str(text.folder), completions, _figures(statistics))


def _read(file: Path) -> list[dict[str, str]]:
    from corpusmill.pipelines.contract.errors import DataError, UserError

    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if file.suffix != ".jsonl":
        return [{"prompt": content}]
    found = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            request = json.loads(line, object_pairs_hook=_without_doubles)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}:{number}: not JSON ({error})") from error
        keys = set(request) if isinstance(request, dict) else set()
        if keys not in _KEYS or not all(isinstance(value, str) for value in request.values()):
            raise DataError(
                f'{file}:{number}: expected {{"prompt": text}} or {{"prefix": text, "suffix": text}}'
            )
        found.append(request)
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _tokens(text: TextTokens, request: Mapping[str, str]) -> list[int]:
    if "prompt" in request:
        return text.prompt(request["prompt"])
    return text.infill(request["prefix"], request["suffix"])


def _figures(statistics: Statistics) -> GenerationStatistics:
    return GenerationStatistics(
        prompt_tokens=statistics.prompt_tokens,
        new_tokens=statistics.new_tokens,
        prefill_seconds=statistics.prefill_seconds,
        decode_seconds=statistics.decode_seconds,
        tokens_per_second=statistics.tokens_per_second,
        tokens_per_pass=statistics.tokens_per_pass,
        draft_acceptance=tuple(statistics.acceptance),
        cache_bytes_per_token=statistics.cache.latent,
        expanded_bytes_per_token=statistics.cache.expanded,
        cache_bytes=statistics.cache.latent * statistics.cache_tokens,
    )
