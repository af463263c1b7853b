"""Options of a stage or section: plain data to a pydantic model, every fault noted with its path.

Stricter than pydantic's lax mode where YAML misleads: a text is no number and no truth value, a truth
value is no number. More lenient in one way: where a whole number is expected, `4M` and `4GB` are read as
such (`quantities`), and so is a float without a fraction (`1e6`).

Paths, which are the options annotated as `pathlib.Path`, are relative to the recipe and made absolute before
anything is validated; variables of the environment stand in them as in other paths. One may be a URL that the
recipe's `storage` allows: of an object, which is fetched, or where the option is a `RunPath`, of a run.
"""

from __future__ import annotations

import os
import re
import types
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from glob import has_magic
from pathlib import Path as FilePath
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.contract.option_paths import WrongOptionError
from corpusmill.pipelines.contract.plugins import plugin_file, raised_in_plugin
from corpusmill.pipelines.recipe.environment import expanded
from corpusmill.pipelines.recipe.messages import Path, Problem, kind_of, of_validation, unknown_key
from corpusmill.pipelines.recipe.quantities import parse_quantity
from corpusmill.pipelines.storage.objects.current import scheme_problem, use_storage
from corpusmill.pipelines.storage.objects.faults import NoObjectError
from corpusmill.pipelines.storage.objects.named import file_of
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.urls import is_url, local_pattern, masked
from corpusmill.pipelines.storage.remote.mirrors import mirror_of

Model = TypeVar("Model", bound=BaseModel)

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_LISTS = (list, tuple, set, frozenset, Sequence, AbstractSet)
_UNIONS = (Union, types.UnionType)
# How pydantic calls a union's members for names, paths and plain values.
_PLAIN = ("literal[", "lax-or-strict[", "constrained-", "float", "int", "str", "bool")


_OF_RUN = "the folder of a run"
RunPath = Annotated[FilePath, _OF_RUN]
"""The type of an option that names the folder of another run."""

_folder: ContextVar[FilePath] = ContextVar("folder that paths of options are relative to")
_storage: ContextVar[ObjectStorage | None] = ContextVar("what URLs among options may be reached by")


@contextmanager
def paths_relative_to(folder: FilePath, storage: ObjectStorage | None = None) -> Iterator[None]:
    """Within, `build` makes the paths among options absolute, starting from `folder`, and files of this
    machine of URLs that `storage` allows."""
    tokens = _folder.set(folder), _storage.set(storage)
    try:
        yield
    finally:
        _folder.reset(tokens[0])
        _storage.reset(tokens[1])


def build(
    cls: type[Model], data: Any, path: Path, problems: list[Problem], what: str = "option"
) -> Model | None:
    """`cls` made from `data` (a mapping, or None for all defaults); None when problems were added.

    `what`: the word messages use for one of its keys.
    """
    if data is None:
        data = {}
    found: list[Problem] = []
    data = _prepare(data, cls, path, found, what)
    made = None
    try:
        made = cls.model_validate(data)
    except ValidationError as error:
        known = {problem.path for problem in found}
        for entry in _nearest(error.errors(include_url=False)):
            here = (*path, *_existing(_place(entry), data, missing=entry["type"] == "missing"))
            if not any(here[:end] in known for end in range(len(here) + 1)):
                known.add(here)
                found.append(Problem(here, of_validation(dict(entry))))
    except Exception as error:
        file = plugin_file(cls.__module__)
        if file is None:
            raise
        raise raised_in_plugin(file, f"{cls.__name__}, made from its {what}s,", error) from error
    if made is not None and not found:
        found += _contradictions(made, path)
    problems.extend(found)
    return None if found else made


def _contradictions(value: Any, path: Path) -> Iterator[Problem]:
    """Limits that no value can keep: a `min_...` above the `max_...` of the same name, or `at_least` above
    `at_most`.

    Groups of limits that the recipe does not write are left out: shipped limits of a language need not fit
    what a recipe sets for the others.
    """
    given: Collection[Any] | None = None
    if isinstance(value, BaseModel):
        value, given = dict(value), value.model_fields_set
    if not isinstance(value, Mapping):
        return
    for name, least in value.items():
        above = _upper(str(name))
        most = None if above is None else value.get(above)
        if isinstance(least, (int, float)) and isinstance(most, (int, float)) and least > most:
            message = f"is {least:g}, above its {above} of {most:g}, so that nothing is between the two"
            yield Problem((*path, name), f"{message}; correct one of them")
        if given is None or name in given:
            yield from _contradictions(least, (*path, name))


def _upper(name: str) -> str | None:
    """The option that is the upper limit to a lower one."""
    if name == "at_least":
        return "at_most"
    return f"max_{name.removeprefix('min_')}" if name.startswith("min_") else None


def _nearest(entries: Sequence[Any]) -> list[Any]:
    """Without what names, paths and plain values in a union say of a mapping or list, where another member
    says more."""
    below = Counter(entry["loc"][:end] for entry in entries for end in range(len(entry["loc"]) + 1))
    nearest = [
        entry
        for entry in entries
        if not (
            isinstance(entry["input"], (dict, list))
            and entry["loc"]
            and str(entry["loc"][-1]).startswith(_PLAIN)
            and below[entry["loc"][:-1]] > 1
        )
    ]
    return nearest or list(entries)


def _place(entry: Any) -> tuple[Any, ...]:
    """The location of one of pydantic's errors; of one that names an option itself, that option's."""
    error = entry.get("ctx", {}).get("error")
    return (*entry["loc"], *(error.path if isinstance(error, WrongOptionError) else ()))


def _existing(loc: tuple[Any, ...], data: Any, *, missing: bool) -> Path:
    """The part of pydantic's location that exists in the data; unions add parts that do not."""
    path: list[str | int] = []
    for part in loc:
        here = part in data if isinstance(data, Mapping) else isinstance(data, list) and isinstance(part, int)
        if here:
            data = data[part]
        if here or (missing and part == loc[-1]):
            path.append(part)
    return tuple(path)


def _prepare(value: Any, annotation: Any, path: Path, problems: list[Problem], what: str) -> Any:
    """`value` made ready for a field of this annotation; what cannot be is added to `problems`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        kind, *about = get_args(annotation)
        if _OF_RUN in about:
            return _prepare_path(value, path, problems, of_run=True)
        return _prepare(value, kind, path, problems, what)
    if origin in _UNIONS:
        return _prepare_union(value, get_args(annotation), path, problems, what)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _prepare_model(value, annotation, path, problems, what)
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return _prepare_path(value, path, problems)
    if annotation in (bool, int, float, str):
        return _prepare_scalar(value, annotation, path, problems)
    if origin in _LISTS or annotation in _LISTS:
        if not isinstance(value, list):
            cure = f"; write [{value}]" if isinstance(value, (str, int, float)) else ""
            problems.append(Problem(path, f"expected a list, got {kind_of(value)}{cure}"))
            return value
        args = get_args(annotation) or (Any,)
        fixed = origin is tuple and args[-1] is not ...
        kinds = args if fixed and len(args) == len(value) else [args[0]] * len(value)
        return [
            _prepare(item, kind, (*path, index), problems, what)
            for index, (item, kind) in enumerate(zip(value, kinds, strict=True))
        ]
    if origin in (dict, Mapping) or annotation is dict:
        if not isinstance(value, dict):
            problems.append(Problem(path, f"expected a mapping, got {kind_of(value)}"))
            return value
        kind = (get_args(annotation) or (str, Any))[1]
        return {key: _prepare(item, kind, (*path, key), problems, what) for key, item in value.items()}
    return value  # Literal and the like: pydantic checks them as it stands


def _prepare_model(value: Any, model: type[BaseModel], path: Path, problems: list[Problem], what: str) -> Any:
    if isinstance(value, model):
        return value
    if not isinstance(value, dict):
        problems.append(Problem(path, f"expected a mapping of {what}s, got {kind_of(value)}"))
        return value
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    ready: dict[str, Any] = {}
    for key, item in value.items():
        if key in fields:
            ready[key] = _prepare(item, fields[key].annotation, (*path, key), problems, "option")
        else:
            ready[key] = item
            if model.model_config.get("extra") == "forbid":
                problems.append(Problem((*path, key), partial(unknown_key, key, fields, what)))
    for key, field in fields.items():
        if key not in ready and isinstance(field.default, PurePath):
            ready[key] = _prepare_path(field.default, (*path, key), problems)
    return ready


def _prepare_path(value: Any, path: Path, problems: list[Problem], *, of_run: bool = False) -> Any:
    """The absolute path of a file or folder that an option names."""
    if isinstance(value, str) and value:
        value = local_pattern(expanded(value, path, problems))
        if is_url(value):
            try:
                return _of_url(value, of_run)
            except UserError as error:
                problems.append(Problem(path, str(error)))
                return value
    elif not isinstance(value, PurePath):
        got = "an empty text" if value == "" else kind_of(value)
        problems.append(Problem(path, f"expected a path, relative to the recipe, got {got}"))
        return value
    if "\0" in str(value):
        problems.append(Problem(path, "a path cannot hold the character NUL; correct it"))
        return value
    folder = _folder.get(None)
    return str(value if folder is None else FilePath(os.path.normpath(folder / value)))


def _of_url(url: str, of_run: bool) -> str:
    """The path of this machine for what a URL names. Raises UserError where it cannot be reached."""
    settings = _storage.get(None)
    problem = scheme_problem(url, settings)
    if problem is not None or settings is None:
        raise RecipeError(problem or "")
    if of_run and has_magic(url):
        raise RecipeError(f"{masked(url)}: a pattern of runs has to be one of folders; name each run")
    if of_run:
        return str(mirror_of(url, settings))
    use_storage(settings)
    try:
        return str(file_of(url))
    except NoObjectError as error:
        raise RecipeError(f"{error}; an option names one object, no folder and no pattern") from error


def _prepare_scalar(value: Any, annotation: type, path: Path, problems: list[Problem]) -> Any:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    cure = ""
    if annotation is bool and isinstance(value, bool):
        return value
    if annotation is str:
        if isinstance(value, str):
            return value
        if isinstance(value, (bool, int, float)):
            cure = "; put it in quotes"
    if annotation in (int, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        if annotation is float:
            return value
        if isinstance(value, int) or value.is_integer():
            return int(value)
    if annotation is int and isinstance(value, str):
        try:
            return parse_quantity(value)
        except ValueError as error:
            problems.append(Problem(path, str(error)))
            return value
    if annotation is bool and str(value).lower() in ("yes", "no", "on", "off"):
        cure = f"; write {'true' if str(value).lower() in ('yes', 'on') else 'false'}"
    if annotation is float and isinstance(value, str) and _NUMBER.fullmatch(value):
        cure = f"; write {value.strip()} without quotes"
    problems.append(Problem(path, f"expected {words[annotation]}, got {kind_of(value)}{cure}"))
    return value


def _prepare_union(
    value: Any, members: tuple[Any, ...], path: Path, problems: list[Problem], what: str
) -> Any:
    """The first member the value suits; with none, the problems of the member that came nearest."""
    if value is None and type(None) in members:
        return None
    if any(get_origin(member) is Literal and value in get_args(member) for member in members):
        return value
    if isinstance(value, str) and str in members:
        return value
    attempts: list[tuple[int, list[Problem], Any]] = []
    for member in members:
        if member is type(None) or get_origin(member) is Literal:
            continue
        found: list[Problem] = []
        ready = _prepare(value, member, path, found, what)
        if not found:
            return ready
        depth = max(len(problem.path) for problem in found)  # a fault deeper inside: the shape was right
        attempts.append((-depth, found, ready))
    named = any(get_origin(member) is Literal for member in members) and int not in members
    if not attempts or (named and isinstance(value, str)):  # pydantic lists the names there are
        return value
    _, found, ready = min(attempts, key=lambda attempt: attempt[0])
    problems.extend(found)
    return ready
