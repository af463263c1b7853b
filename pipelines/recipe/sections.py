"""Sections of a recipe to stages. Every fault is added to `problems`, none stops the others being found."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from corpusmill.pipelines.contract import closest, plugins, rooms
from corpusmill.pipelines.contract.documents import RAW_FIELDS, SCHEMA
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.stage import Deduplicate, Filter, Fold, Map, Regroup, Stage
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.messages import SLUG, Path, Problem, kind_of
from corpusmill.pipelines.recipe.messages import unknown_keys as unknown
from corpusmill.pipelines.recipe.models import ALLOW_LOSS, Decontamination, Source
from corpusmill.pipelines.recipe.options import build
from corpusmill.pipelines.sources.reader import Reader

Kind = TypeVar("Kind", bound=Stage)
Step = Map | Regroup
Problems = list[Problem]

SOURCE_KEYS = ("read", "domain", "steps", "allow_loss")
DEFAULT_READER = "jsonl"  # of benchmarks given as bare patterns


def mapping(data: Any, path: Path, problems: Problems, example: str) -> dict[str, Any] | None:
    """`data` if it is a mapping; otherwise a problem that shows `example`, and None."""
    if isinstance(data, dict):
        return data
    problems.append(Problem(path, f"expected a mapping such as `{example}`, got {kind_of(data)}"))
    return None


def unknown_keys(data: dict[str, Any], valid: Iterable[str], path: Path, problems: Problems) -> None:
    """A problem for each key of `data` that is not `valid`."""
    problems.extend(unknown(data, tuple(valid), path))


def stage(room: str, name: str, options: Any, kind: type[Stage], path: Path, problems: Problems) -> Any:
    """The stage `name` of a room with these options, a `kind`; None when problems were added."""
    found = plugins.plugin_stages(kind).get(name)
    if found is None and name in rooms.names(room):
        found = registry.find(room, name)
    if found is None or not issubclass(found, kind) or inspect.isabstract(found):
        what = "unknown stage" if found is None else f"a stage of {room} that cannot stand here"

        def message() -> str:
            return f"`{name}`: {what}; {closest.nearest(name, _names(room, kind))}"

        problems.append(Problem(path, message))
        return None
    return build(found, options, path, problems, f"option of {name}")


def _names(room: str, kind: type[Stage]) -> list[str]:
    built_in = [name for name in rooms.names(room) if issubclass(registry.find(room, name), kind)]
    return [*built_in, *plugins.plugin_stages(kind)]


def source(name: str, data: Any, problems: Problems) -> Source | None:
    """One entry of `sources`."""
    path: Path = ("sources", name)
    if not re.fullmatch(SLUG, name):
        message = f"`{name}` is no name for a source; use small letters, digits, hyphens and underscores"
        problems.append(Problem(path, message))
    section = mapping(data, path, problems, "{read: {jsonl: code/*.jsonl.zst}, steps: []}")
    if section is None:
        return None
    unknown_keys(section, SOURCE_KEYS, path, problems)
    domain = section.get("domain", name)
    if "domain" in section and not (isinstance(domain, str) and re.fullmatch(SLUG, domain)):
        message = f"expected a name such as web, code or math, got {kind_of(domain)}"
        problems.append(Problem((*path, "domain"), message))
    if "read" not in section:
        problems.append(Problem(path, "`read` is missing; add `read: {jsonl: code/*.jsonl}`"))
        made = None
    else:
        made = reader(section["read"], (*path, "read"), problems)
    steps: list[tuple[Step, Path]] = stage_list(section.get("steps"), (*path, "steps"), problems, _step)
    if made is None:
        return None
    if len(steps) == len(section.get("steps") or []):  # a step at fault may be the one that fills a column
        _check_columns(made, steps, path, problems)
    return Source(
        name,
        domain if isinstance(domain, str) else name,
        made,
        tuple(step for step, _ in steps),
        _allow_loss(section.get("allow_loss", ALLOW_LOSS), (*path, "allow_loss"), problems),
    )


def _allow_loss(value: Any, path: Path, problems: Problems) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        message = f"expected a share from 0 to 1 of records that may be quarantined, got {kind_of(value)}"
        problems.append(Problem(path, message))
        return ALLOW_LOSS
    return float(value)


def reader(data: Any, path: Path, problems: Problems) -> Reader | None:
    """`{<reader>: pattern | [patterns] | {files: ..., options}}`."""
    section = mapping(data, path, problems, "{jsonl: code/*.jsonl.zst}")
    if section is None:
        return None
    if len(section) != 1:
        names = ", ".join(_readers())
        problems.append(Problem(path, f"expected one reader, got {len(section)}; there are: {names}"))
        return None
    ((name, options),) = section.items()
    here = (*path, name)
    if name not in _readers():
        problems.append(
            Problem(here, lambda: f"unknown reader `{name}`; {closest.nearest(name, _readers())}")
        )
        return None
    if isinstance(options, str):
        options = {"files": [options]}
    elif isinstance(options, list):
        options = {"files": options}
    elif isinstance(options, dict) and isinstance(options.get("files"), str):
        options = {**options, "files": [options["files"]]}
    elif not isinstance(options, dict):
        message = f"expected a pattern, a list of patterns or {{files: ...}}, got {kind_of(options)}"
        problems.append(Problem(here, message))
        return None
    for pattern in options["files"] if isinstance(options.get("files"), list) else []:
        if pattern == "" or any("**" in part and part != "**" for part in str(pattern).split("/")):
            problems.append(Problem(here, f"{pattern!r} is no pattern; `**` stands alone between slashes"))
    made: Reader | None = stage("pipelines", name, options, Reader, here, problems)
    return made


def _readers() -> list[str]:
    return [*(n for n in rooms.names("pipelines") if n != "extract"), *plugins.plugin_stages(Reader)]


def stage_list(
    data: Any,
    path: Path,
    problems: Problems,
    make: Callable[[str, Any, Path, Problems], Kind | None],
) -> list[tuple[Kind, Path]]:
    """`[name | {name: options}]` to stages, each with the path of its entry."""
    if data is None:
        return []
    if not isinstance(data, list):
        problems.append(Problem(path, f"expected a list of stages, got {kind_of(data)}; write [a, b]"))
        return []
    made: list[tuple[Kind, Path]] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(data):
        here: Path = (*path, index)
        if isinstance(entry, str):
            name, options = entry, None
        elif isinstance(entry, dict) and len(entry) == 1:
            ((name, options),) = entry.items()
            here = (*here, name)
        else:
            cure = (
                "indent its options further" if isinstance(entry, dict) else "write a name or {name: options}"
            )
            problems.append(Problem(here, f"expected one stage, got {kind_of(entry)}; {cure}"))
            continue
        found = make(name, options, here, problems)
        name = name if found is None else found.name  # `datatrove` has one for each of its blocks
        if name in seen:
            problems.append(Problem(here, f"`{name}` stands here already, as entry {seen[name]}; keep one"))
        elif found is not None:
            seen[name] = index
            made.append((found, here))
    return made


def _step(name: str, options: Any, path: Path, problems: Problems) -> Map | Regroup | None:
    try:
        found = registry.find_step(name)
    except RecipeError as error:
        problems.append(Problem(path, error.__str__))
        return None
    return build(found, options, path, problems, f"option of {name}")


def deduplicate(name: str, options: Any, path: Path, problems: Problems) -> Deduplicate | None:
    """One entry of `dedup`."""
    made: Deduplicate | None = stage("dedup", name, options, Deduplicate, path, problems)
    return made


def _check_columns(made: Reader, steps: list[tuple[Any, Path]], path: Path, problems: Problems) -> None:
    """Every step finds the columns it consumes, and the source ends with text."""
    fixed = {field.name for field in SCHEMA} - {"text"}
    here = _with_companions(made.produces)
    for step, at in steps:
        for column in sorted(set(step.consumes) - here - fixed):
            if column in ("text", "raw"):
                problems.append(Problem(at, _order(step.name, column, made.name, here)))
            elif "." not in column:
                problems.append(Problem(at, f"`{step.name}` needs `{column}`, which nothing before it fills"))
            elif column.split(".")[0] not in {s.name for s, before in steps if before < at}:
                problems.append(
                    Problem(at, f"`{step.name}` needs `{column.split('.')[0]}` before it; add that step")
                )
        before = [made, *(s for s, earlier in steps if earlier < at)]
        problems.extend(Problem((*at, option), wrong) for option, wrong in step.conflicts(before))
        if "raw" in step.consumes:
            here -= _with_companions(["raw"])
        here |= {"text"} & set(step.consumes) | _with_companions(step.produces)
    if "raw" in here and "text" not in here:
        message = f"`{made.name}` reads raw pages and nothing makes text of them; add `extract` to `steps`"
        problems.append(Problem((*path, "steps"), message))


def _with_companions(columns: Iterable[str]) -> set[str]:
    """Readers of raw pages fill all of `RAW_FIELDS`."""
    found = set(columns)
    return found | {field.name for field in RAW_FIELDS} if "raw" in found else found


def _order(step: str, column: str, reader_name: str, here: set[str]) -> str:
    if column == "text":
        return f"`{step}` needs text, but `{reader_name}` reads raw pages; put `extract` before it"
    if "text" in here:
        return f"`{step}` works on raw pages, but here documents are text already; remove it"
    return f"`{step}` works on raw pages, and none are left here"


def decontaminate(data: Any, problems: Problems) -> Decontamination | None:
    """`{against: patterns or {reader: patterns}, options of benchmark_grams and decontaminate}`."""
    path: Path = ("decontaminate",)
    section = mapping(data, path, problems, "{against: benchmarks/*.jsonl.zst}")
    if section is None:
        return None
    grams, judge = registry.find("dedup", "benchmark_grams"), registry.find("dedup", "decontaminate")
    valid = ("against", *dict.fromkeys([*judge.model_fields, *grams.model_fields]))
    unknown_keys(section, valid, path, problems)
    if "against" not in section:
        problems.append(Problem(path, "`against` is missing; add `against: benchmarks/*.jsonl.zst`"))
        made_reader = None
    else:
        against = section["against"]
        if isinstance(against, (str, list)):
            patterns = [against] if isinstance(against, str) else against
            parquet = bool(patterns) and all(str(pattern).endswith(".parquet") for pattern in patterns)
            against = {"parquet" if parquet else DEFAULT_READER: patterns}
        made_reader = reader(against, (*path, "against"), problems)
        if made_reader is not None and "raw" in made_reader.produces:
            message = f"`{made_reader.name}` reads raw pages; benchmarks must be read as text"
            problems.append(Problem((*path, "against"), message))
    ours = [
        {key: value for key, value in section.items() if key in found.model_fields}
        for found in (grams, judge)
    ]
    made_grams = stage("dedup", "benchmark_grams", ours[0], Fold, path, problems)
    made_judge = stage("dedup", "decontaminate", ours[1], Filter, path, problems)
    if made_reader is None or made_grams is None or made_judge is None:
        return None
    return Decontamination(Source("benchmarks", "benchmark", made_reader), made_grams, made_judge)
