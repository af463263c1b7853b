"""`corpusmill calibrate`: limits of a filter by language, chosen on a corpus that the user trusts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def calibrate(
    filter_name: str,
    files: Sequence[Path],
    *,
    language: str | None = None,
    quantile: float = 0.01,
    least: int = 100,
    stop_words: int = 16,
    parallel: Path | None = None,
) -> dict[str, Any]:
    """By language `limits`, as `by_language` takes them, and `origin`; see `calibration.choose`.

    `language` is that of documents without a field `lang`; `least` documents of a language are needed;
    `parallel` is a folder with one text in several languages (`en.txt`, `ja.txt`, ...). Languages that
    have too few documents are under `_too_few`. Raises UserError for what cannot be read, a filter that
    has no limits by language, and a corpus too small in every language.
    """
    from corpusmill.filters.calibration.choose import choose
    from corpusmill.filters.calibration.corpus import read_parts
    from corpusmill.pipelines.contract.errors import UserError

    stage = _filter(filter_name)
    scales = _scales(parallel)
    found, few = choose(
        stage,
        read_parts(files, language),
        quantile=quantile,
        least=least,
        stop_words=stop_words,
        scales=scales,
    )
    if not found:
        listed = ", ".join(f"{code} {count}" for code, count in sorted(few.items())) or "none at all"
        raise UserError(f"no language has {least} documents ({listed}); give more files, or --least")
    result: dict[str, Any] = {}
    for code, chosen in found.items():
        origin: dict[str, Any] = {"corpora": chosen.corpora, "bytes": chosen.bytes, "quantile": quantile}
        if chosen.scale and stage.scaled:
            origin["for_one_in_english"] = chosen.scale
        origin |= {"kept_by_own_limits": round(chosen.kept_by_own, 3), "kept": round(chosen.kept, 3)}
        result[code] = {"origin": origin, "limits": _plain(chosen.limits)}
    if few:
        result["_too_few"] = few
    return result


def _filter(name: str) -> Any:
    from corpusmill.filters.rules.limits import LimitsByLanguage
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.recipe.registry import find

    kind = find("filters", name)
    if not issubclass(kind, LimitsByLanguage):
        raise UserError(f"the filter {name} has no limits by language; those of corpusmill: "
                        "gopher_quality, gopher_repetition, fineweb_quality")  # fmt: skip
    return kind.model_validate({"by_language": {}})


def _scales(parallel: Path | None) -> Mapping[str, Mapping[str, float]]:
    from corpusmill.filters.calibration.choose import scales_of
    from corpusmill.pipelines.contract.errors import UserError

    if parallel is None:
        return {}
    texts = {path.stem: path.read_text("utf-8") for path in sorted(parallel.glob("*.txt"))}
    if not texts.get("en", "").strip():
        raise UserError(f"{parallel}: holds no text en.txt, which the others are compared with")
    return scales_of(texts)


def _plain(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in limits.items()}
