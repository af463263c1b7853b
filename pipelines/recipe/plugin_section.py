"""A section from a plugin: what it says of itself is checked, and what its methods raise is its fault.

What a method of a plugin raises, or gives that is not what it should be, becomes a RecipeError with the
plugin's file and line. Sections of the rooms are left as they are: what these raise is a fault of corpusmill.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, cast

from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError, UserError
from corpusmill.pipelines.contract.plugins import place_in_plugin, raised_in_plugin
from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.recipe.messages import Problem
from corpusmill.pipelines.recipe.models import Source
from corpusmill.pipelines.recipe.section import Cut, Section

NAME = re.compile(r"[a-z][a-z0-9_]*")  # a key of recipes, and what names of steps begin with
_WORDS = ("after", "before", "step_roots", "gives")
_GUARDED = "_faults_are_told"  # set on a section whose methods are guarded already


def of_plugin(section: type[Section], file: Path) -> type[Section]:
    """The section of a plugin's file, checked, with methods that raise nothing but deliberate errors.

    Raises RecipeError where what it says of itself is not of the right form.
    """
    for fault in _faults(section):
        raise RecipeError(f"plugin {file}: section {section.name}: {fault}")
    if _GUARDED not in section.__dict__:
        for method, form in _FORMS.items():
            _guard(section, method, form, file)
        setattr(section, _GUARDED, True)
    return section


def _faults(section: type[Section]) -> Iterator[str]:
    values: dict[str, Any] = {name: getattr(section, name) for name in (*_WORDS, "example", "name", "needs")}
    if not (isinstance(values["name"], str) and NAME.fullmatch(values["name"])):
        yield "`name` must be small letters, digits and underscores, and begin with a letter; rename it"
    for name in _WORDS:
        if not (
            isinstance(values[name], (tuple, list)) and all(isinstance(one, str) for one in values[name])
        ):
            yield f'`{name}` must be a tuple of texts, as ("dedup",) is, but is {values[name]!r}; correct it'
    for root in values["step_roots"] or ():
        if not NAME.fullmatch(root):
            yield f"`step_roots` holds {root!r}, but names of steps begin with small letters; correct it"
    if not isinstance(values["example"], str):
        yield f"`example` must be a text, as a recipe has it, but is {values['example']!r}; correct it"
    needs = values["needs"]
    if not (isinstance(needs, Mapping) and all(isinstance(text, str) for text in (*needs, *needs.values()))):
        yield (
            '`needs` must say why of each section, such as {"pack": "it trains on shards"}, but is '
            f"{needs!r}; correct it"
        )


def _guard(section: type[Section], method: str, form: _Form, file: Path) -> None:
    """Put around a method that is of the plugin, not of corpusmill, what tells its faults."""
    owner = next(one for one in section.__mro__ if method in one.__dict__)
    if owner.__module__.startswith("corpusmill."):
        return
    own = owner.__dict__[method]
    bound = isinstance(own, classmethod)
    called: Callable[..., Any] = own.__func__ if bound else own

    @wraps(called)
    def told(*given: Any, **named: Any) -> Any:
        try:
            found = form.complete(called(*given, **named))
        except UserError:
            raise
        except CorpusmillError as error:
            raise RecipeError(f"plugin {place_in_plugin(file, error)}: {error}") from error
        except Exception as error:
            raise raised_in_plugin(file, f"section {section.name}: `{method}`", error) from error
        if not form.holds(found):
            raise RecipeError(
                f"plugin {file}:{called.__code__.co_firstlineno}: section {section.name}: `{method}` must "
                f"give {form.said}, but gives {_short(found)}; correct it"
            )
        return found

    setattr(section, method, classmethod(told) if bound else told)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class _Form:
    """What a method gives. `complete`: made ready to be looked at, a generator run to its end."""

    def __init__(
        self, said: str, holds: Callable[[Any], bool], complete: Callable[[Any], Any] = lambda found: found
    ) -> None:
        self.said, self.holds, self.complete = said, holds, complete


def _all(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, Sequence) and all(kind(one) for one in found)


def _pair(second: type[Any], *, path: bool) -> Callable[[Any], bool]:
    """Whether a value is a path in the recipe (or, without `path`, None) with a `second`."""
    return lambda one: (
        isinstance(one, tuple)
        and len(one) == 2
        and (isinstance(one[0], tuple) or (not path and one[0] is None))
        and isinstance(one[1], second)
    )


def _of_problems(found: Any) -> list[Any]:
    return list(cast("Iterator[Any]", found))


_SECTION = _Form("the section or None", lambda found: found is None or isinstance(found, Section))
_PROBLEMS = _Form("problems", _all(lambda one: isinstance(one, Problem)), _of_problems)
_FORMS = {
    "check": _PROBLEMS,
    "read": _SECTION,
    "beside": _SECTION,
    "describe": _Form("a mapping, its JSON Schema", lambda found: isinstance(found, dict)),
    "asks": _Form(
        "a mapping from sections to options",
        lambda found: isinstance(found, Mapping) and all(isinstance(one, Mapping) for one in found.values()),
    ),
    "stages": _Form("a list of pairs of a path, or None, and a stage", _all(_pair(Stage, path=False))),
    "sources": _Form("a list of pairs of a path and a source", _all(_pair(Source, path=True))),
    "input_problems": _PROBLEMS,
    "cut": _Form("a Cut", lambda found: isinstance(found, Cut)),
    "graph": _Form("nothing", lambda found: found is None),
}
