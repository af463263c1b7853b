"""`current.json`: which version of each step is the run's, what was asked for, and what no longer holds."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from corpusmill.pipelines.errors import UserError
from corpusmill.pipelines.fingerprint import fingerprint
from corpusmill.pipelines.graph import Step
from corpusmill.pipelines.storage import Json, RunFolder


def write_current(
    folder: RunFolder,
    recipe: str,
    names: Sequence[str],
    new: Json,
    stale: Sequence[str],
    asked: tuple[Sequence[str], Sequence[str]] | None,
) -> None:
    """Point at every step of `names` that has a version, `new` ones (name -> fingerprint) replacing others.

    Steps that were made from other inputs or options than they would be now stay, named in `stale`, until
    they are made again: their figures are still those of the data they were made from. `asked`: with
    `--until`, the steps given and those they need, themselves included.
    """
    steps = {**folder.current()["steps"], **new}
    value: Json = {"recipe": recipe, "steps": {name: steps[name] for name in names if name in steps}}
    if held := [name for name in names if name in stale and name in steps]:
        value["stale"] = held
    if asked is not None:
        value |= {"until": list(asked[0]), "asked": list(asked[1])}
    folder.write_current(value)


def stale_steps(
    folder: RunFolder,
    graph: Sequence[Step],
    asked: Container[str],
    key: Callable[[Step, dict[str, Json]], Json],
) -> list[str]:
    """Steps with a version, outside of what was `asked` for, that would have another version now.

    `graph`: all steps, each after what it needs; `key` of a step from the manifests of what it needs. An
    index is taken as it is: its files are not looked at.
    """
    steps: dict[str, str] = folder.current()["steps"]
    stale: list[str] = []
    for step in graph:
        if step.name in asked or step.name not in steps or step.operator == "index":
            continue
        inputs = {n: folder.step(n, steps[n]).manifest() for n in step.needs if n in steps}
        known = {name: manifest for name, manifest in inputs.items() if manifest is not None}
        if len(known) < len(step.needs) or any(name in stale for name in step.needs):
            stale.append(step.name)
            continue
        try:
            holds = fingerprint(key(step, known)) == steps[step.name]
        except UserError:  # a file that the step reads is not there: it could not be made again as it is
            holds = False
        if not holds:
            stale.append(step.name)
    return stale
