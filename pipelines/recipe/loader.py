"""`load_recipe`: a YAML file to a checked `Recipe`, or every fault of it at once.

Order: the text is parsed, `--set` overrides are applied, variables of the environment are put into paths,
plugins are registered, then each section is checked by itself and all of them against one another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.closest import closest
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.stage import Filter, Fold, Map, Scatter, Task, Write
from corpusmill.pipelines.recipe import long_context_section, sections, tokenizer_section
from corpusmill.pipelines.recipe.environment import expand_environment
from corpusmill.pipelines.recipe.messages import (
    InvalidRecipeError,
    Places,
    Problem,
    kind_of,
    unknown_key,
    unknown_keys,
    unusable_texts,
)
from corpusmill.pipelines.recipe.models import Engine, HoldingOut, Recipe, Settings, Source
from corpusmill.pipelines.recipe.names import SECTION_STEPS, name_problems
from corpusmill.pipelines.recipe.options import build, paths_relative_to
from corpusmill.pipelines.recipe.overrides import apply_overrides
from corpusmill.pipelines.recipe.yaml_text import MAX_BYTES, parse_yaml

SECTIONS = (
    "engine",
    "sources",
    "dedup",
    "decontaminate",
    "tokenizer",
    "mixture",
    "pack",
    "train",
    "long_context",
)
KEYS = ("name", "seed", "data", "output", "plugins", *SECTIONS)
_SUFFIXES = (".yaml", ".yml")
_NEEDS = {  # section -> what it needs, why, and the shortest cure
    "mixture": [("tokenizer", "it counts tokens", "tokenizer: {train: {vocab_size: 8192}}")],
    "pack": [("tokenizer", "it packs tokens", "tokenizer: {train: {vocab_size: 8192}}")],
    "train": [("pack", "it trains on packed shards", "pack: {sequence_length: 1024}")],
    "long_context": [("train", "it goes on from a trained model", "train: {preset: v3-tiny, steps: 200}")],
}


def load_recipe(path: Path, overrides: Sequence[str] = (), *, inputs: bool = False) -> Recipe:
    """The recipe of a YAML file, checked. `overrides`: `a.b=value`, applied before anything is checked.

    Input files are looked for only with `inputs`, and then their faults come together with the others: see
    `Recipe.check_inputs`. The plugins of the recipe become the registered ones. Raises RecipeError; an
    InvalidRecipeError carries all faults, one line each.
    """
    path = Path(path)
    data, places = _read(path)
    problems = apply_overrides(data, overrides, places)
    written = data
    data, unset = expand_environment(data)
    problems += unset
    unusable = list(unusable_texts(data))
    if unusable:  # what else is wrong could not even be looked for
        raise places.error(problems + unusable)
    problems += unknown_keys(data, KEYS)
    folder = path.absolute().parent
    settings = build(
        Settings, {k: v for k, v in data.items() if k in Settings.model_fields}, (), problems, "key"
    )
    engine = build(Engine, data.get("engine"), ("engine",), problems)
    if engine is not None and engine.address is not None and engine.kind != "ray":
        message = f"an address is for `kind: ray`, but the kind is {engine.kind}; change one of the two"
        problems.append(Problem(("engine", "address"), message))
    plugins = _register_plugins(settings.plugins if settings else [], folder, problems)
    with paths_relative_to(folder):
        parts = _sections(data, problems)
    _check_sections(data, problems)
    if settings is None or engine is None:
        raise places.error(problems)
    recipe = Recipe(
        path=path,
        name=settings.name,
        seed=settings.seed,
        folder=folder,
        data_folder=Path(os.path.normpath(folder / settings.data)),
        output_folder=Path(os.path.normpath(folder / (settings.output or f"runs/{settings.name}"))),
        plugins=tuple(plugins),
        engine=engine,
        raw=written,
        places=places,
        **parts,
    )
    if inputs:  # of a recipe at fault, what could be built of it
        problems += recipe.input_problems()
    if problems:
        raise places.error(problems)
    return recipe


def _read(path: Path) -> tuple[dict[str, Any], Places]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise RecipeError(f"no recipe {path}; {_neighbours(path)}") from error
    except IsADirectoryError as error:
        held = ", ".join(sorted(p.name for p in path.iterdir() if p.suffix in _SUFFIXES)[:8])
        hint = f"it holds {held}" if held else "give a YAML file"
        raise RecipeError(f"cannot read the recipe {path}: it is a folder; {hint}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RecipeError(
            f"cannot read the recipe {path}: {reason}; correct the path or its access"
        ) from error
    data, places = parse_yaml(content, str(path))
    if data is None:
        raise InvalidRecipeError([f"{path}: the recipe is empty; it needs at least `name` and `sources`"])
    if not isinstance(data, dict):
        raise InvalidRecipeError(
            [f"{places.where(())}: expected `name`, `sources` and so on, got {kind_of(data)}"]
        )
    return data, places


def _neighbours(path: Path) -> str:
    """What may have been meant by a recipe that is not there."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    here = sorted(p.name for p in path.parent.iterdir() if p.suffix in _SUFFIXES)
    close = closest(path.name, here)
    if close is not None:
        return f"did you mean `{path.parent / close}`?"
    return f"{path.parent.absolute()} holds {', '.join(here[:8]) or 'no YAML file'}"


def _register_plugins(files: Sequence[str], folder: Path, problems: list[Problem]) -> list[Path]:
    plugins.clear_plugins()
    for index, file in enumerate(files):
        try:
            plugins.register_plugin(folder / file)
        except RecipeError as error:
            problems.append(Problem(("plugins", index), str(error)))
    return plugins.plugins()


def _sections(data: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Every section as stages, by the names of `Recipe`'s fields; None where absent or at fault."""
    for key in SECTIONS:
        if key in data and data[key] is None:
            message = f"is empty; write `{key}: {'[]' if key == 'dedup' else '{}'}`, or take the line out"
            problems.append(Problem((key,), message))
    given = {key: data[key] for key in SECTIONS if data.get(key) is not None}
    parts: dict[str, Any] = {
        "sources": _sources(given.get("sources"), data, problems),
        "dedup": tuple(
            made
            for made, _ in sections.stage_list(given.get("dedup"), ("dedup",), problems, sections.deduplicate)
        ),
        "decontaminate": None,
        "held_out": None,
        "tokenizer_sample": None,
        "tokenizer": None,
        "tokenizer_judge": None,
        "mixture_sums": None,
        "mixture": None,
        "encode": None,
        "draw": None,
        "pack": None,
        "train": None,
        "long_context": (),
    }
    if "decontaminate" in given:
        parts["decontaminate"] = sections.decontaminate(given["decontaminate"], problems)
    if "tokenizer" in given:
        section = tokenizer_section.tokenizer(given["tokenizer"], problems)
        parts["tokenizer_sample"], parts["tokenizer"] = section.sample, section.maker
        parts["tokenizer_judge"] = section.judge
    if "mixture" in given or "pack" in given:
        parts["mixture"] = sections.stage(
            "mixtures", "mixture", given.get("mixture"), Fold, ("mixture",), problems
        )
    if "pack" in given:
        parts["pack"] = sections.stage("tokenizer", "pack", given["pack"], Write, ("pack",), problems)
        parts["draw"] = sections.stage("mixtures", "draw", None, Scatter, ("mixture",), problems)
    if parts["pack"] is not None:
        options = parts["pack"].encode_options()
        parts["encode"] = sections.stage("tokenizer", "encode", options, Map, ("pack",), problems)
    if parts["pack"] is not None and parts["mixture"] is not None:
        parts["mixture"] = parts["mixture"].model_copy(update=parts["pack"].mixture_options())
        parts["mixture_sums"] = sections.stage("mixtures", "mixture_sums", None, Fold, ("mixture",), problems)
    parts["held_out"] = _held_out(parts, problems)
    if "train" in given:
        parts["train"] = sections.stage("training_hooks", "train", given["train"], Task, ("train",), problems)
    if "long_context" in given and parts["pack"] is not None and parts["train"] is not None:
        parts["long_context"] = long_context_section.long_context(
            given["long_context"], parts["pack"], parts["train"], problems
        )
    return parts


def _held_out(parts: Mapping[str, Any], problems: list[Problem]) -> HoldingOut | None:
    """The stages that hold documents out; None where neither tokenizer nor model holds any out."""
    sample, pack = parts["tokenizer_sample"], parts["pack"]
    shares = {
        "tokenizer": sample.held_out if sample is not None else 0.0,
        "model": pack.held_out if pack is not None else 0.0,
    }
    if not any(shares.values()):
        return None
    path = ("pack", "held_out")
    return HoldingOut(
        sections.stage("dedup", "held_out_families", shares, Fold, path, problems),
        sections.stage("dedup", "held_out_index", None, Fold, path, problems),
        sections.stage("dedup", "held_out_overlap", None, Fold, path, problems),
        sections.stage("dedup", "hold_out", None, Filter, path, problems),
    )


def _sources(data: Any, recipe: dict[str, Any], problems: list[Problem]) -> tuple[Source, ...]:
    if not data:
        others = [key for key in recipe if key not in KEYS]
        misspelt = closest("sources", others)
        if (
            misspelt is None or closest(misspelt, KEYS) != "sources"
        ):  # else its own line says what it should be called
            message = "`sources` is missing; add `sources: {code: {read: {jsonl: code/*.jsonl}}}`"
            problems.append(Problem((), message))
        return ()
    named = sections.mapping(data, ("sources",), problems, "{code: {read: {jsonl: code/*.jsonl}}}")
    made = [sections.source(name, entry, problems) for name, entry in (named or {}).items()]
    return tuple(source for source in made if source is not None)


def _check_sections(data: dict[str, Any], problems: list[Problem]) -> None:
    """Sections that need one another, and names of sources used by other sections."""
    for section, needs in _NEEDS.items():
        for needed, why, cure in needs:
            if data.get(section) is not None and data.get(needed) is None:
                problems.append(Problem((section,), f"needs `{needed}`, since {why}; add `{cure}`"))
    if data.get("mixture") is not None and data.get("pack") is None:
        message = "has no effect without `pack`; add `pack: {sequence_length: 1024}`"
        problems.append(Problem(("mixture",), message))
    if isinstance(data.get("mixture"), dict) and "held_out" in data["mixture"]:
        message = "belongs under `pack`, since what is held out is packed apart; move it there"
        problems.append(Problem(("mixture", "held_out"), message))
    if isinstance(data.get("sources"), dict):
        for name in SECTION_STEPS:
            if name in data["sources"]:
                message = f"`{name}` is the name of a step of its own; give the source another name"
                problems.append(Problem(("sources", name), message))
        _check_weights(data, problems)
        _check_priorities(data, problems)
        problems.extend(name_problems(data))


def _check_weights(data: dict[str, Any], problems: list[Problem]) -> None:
    """The mixture gives a weight to every source and to nothing else."""
    sources, mixture = data["sources"], data.get("mixture")
    weights = mixture.get("weights") if isinstance(mixture, dict) else None
    if not isinstance(weights, dict):
        return
    path = ("mixture", "weights")
    unknown = unknown_keys(weights, sources, path, "source")
    problems.extend(unknown)
    missing = [name for name in sources if name not in weights]
    if missing and not unknown:  # with a misspelt name, the one it stands for is missing too
        cure = ", ".join(f"{name}: 0" for name in missing)
        problems.append(
            Problem(path, f"no weight for {', '.join(missing)}; add one, or `{cure}` to leave out")
        )


def _check_priorities(data: dict[str, Any], problems: list[Problem]) -> None:
    """`priority` of a deduplication names sources."""
    stages = data["dedup"] if isinstance(data.get("dedup"), list) else []
    for index, entry in enumerate(stages):
        for name, options in entry.items() if isinstance(entry, dict) else ():
            priority = options.get("priority") if isinstance(options, dict) else None
            for at, source in enumerate(priority if isinstance(priority, list) else []):
                if source not in data["sources"]:
                    message = partial(unknown_key, str(source), data["sources"], "source")
                    problems.append(Problem(("dedup", index, name, "priority", at), message))
