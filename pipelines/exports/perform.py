"""One export: which format is meant, what of a run it is of, and where it may not be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.conversion import KINDS, Export, Facts, Kind, Of
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.exports.find import export_names, exports_named
from corpusmill.pipelines.inspection.tokenizer_files import looks_like_tokenizer, tokenizer_file
from corpusmill.pipelines.storage.run_folder import RunFolder


def perform(what: Path, out: Path, to: str, of: Kind | None, options: Mapping[str, Any]) -> Facts:
    """Write `what` (a run, a folder or a file) to `out` in the format `to`; returns what was written.

    `of` says what of a run is meant where several things have a format of the name; without it, of a run the
    documents. Options that are None were not given.

    Raises UserError for a format or option that there is not, for `what` that holds nothing of the kind, and
    for a place within a run.
    """
    chosen = chosen_export(what, to, of)
    given = {name: value for name, value in options.items() if value is not None}
    _refuse_options(given, chosen, to)
    refuse_within_run(out)
    return chosen.write(_place(what, chosen.of, to), out, **given)


def chosen_export(what: Path, to: str, of: Kind | None) -> Export:
    """The export that is meant."""
    there = exports_named(to)
    if of is not None:
        if KINDS[of] not in there:
            has = {name for name in export_names() if KINDS[of] in exports_named(name)}
            raise UserError(
                f"--to {to} is of {' and '.join(there)}, not of {KINDS[of]}; of {KINDS[of]} there are "
                f"{', '.join(sorted(has))}"
            )
        return there[KINDS[of]]
    if len(there) == 1:
        return next(iter(there.values()))
    if RunFolder(what).begun and "documents" in there:
        return there["documents"]
    for kind in ("a tokenizer", "a model", "shards"):
        if kind in there and (kind != "a tokenizer" or _has_tokenizer(what)):
            return there[kind]
    return there.get("documents") or next(iter(there.values()))


def _has_tokenizer(what: Path) -> bool:
    return what.exists() and tokenizer_file(what) is not None


def refuse_within_run(out: Path) -> None:
    """Raise UserError where `out` lies in a run: its folders hold what the run wrote alone."""
    place = out.absolute()
    for folder in dict.fromkeys((place, *place.parents, *place.resolve().parents)):
        if RunFolder(folder).begun:
            raise UserError(f"{out}: lies in the run {folder}; name a folder outside of runs")


def _refuse_options(options: Mapping[str, Any], chosen: Export, to: str) -> None:
    """Raise UserError for the first option that the format does not take, naming those that do."""
    for name in options:
        if name not in chosen.options:
            takers = [
                other
                for other in export_names()
                if any(name in one.options for one in exports_named(other).values())
            ]
            named = ", ".join(f"--to {other}" for other in takers)
            raise UserError(f"--{name.replace('_', '-')} is for {named}, not for --to {to}")


def _place(what: Path, of: Of, to: str) -> Path:
    """What of `what` is exported. Raises UserError where it holds something else."""
    if of == "a tokenizer":
        return _tokenizer_at(what)
    if of == "a model" and looks_like_tokenizer(what) and not (what / "config.json").is_file():
        others = [name for name in export_names() if "a tokenizer" in exports_named(name)]
        raise UserError(
            f"{what}: a tokenizer, not a model; --to {to} writes models, "
            f"a tokenizer goes --to {', '.join(others)}"
        )
    return what


def _tokenizer_at(what: Path) -> Path:
    """The folder or file of the tokenizer in `what`. Raises UserError where there is none."""
    if not what.exists():
        raise UserError(f"{what}: does not exist; give a tokenizer's folder, a run, or a tokenizer file")
    file = tokenizer_file(what)
    if file is None:
        model = any((folder / "config.json").is_file() for folder in (what, what / "data"))
        cure = "; the model here goes --to deepseek_v3" if model else ""
        raise UserError(
            f"{what}: no tokenizer in this folder; give its folder, a run, or the step that made it{cure}"
        )
    return file.parent if what.is_dir() else file
