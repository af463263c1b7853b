"""`current.json`: which version of each step is the run's, what was asked for, and what no longer holds."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.run.fingerprint import fingerprint
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.run_folder import Json, RunFolder, StepFolder


def write_current(
    folder: RunFolder,
    recipe: str,
    names: Sequence[str],
    new: Json,
    stale: Sequence[str],
    asked: tuple[Sequence[str], Sequence[str]] | None,
) -> None:
    """Point at every step of `names` that has a complete version, `new` ones (name -> fingerprint) replacing
    others. Without `new` ones every step is looked at.

    Steps that were made from other inputs or options than they would be now stay, named in `stale`, until
    they are made again: their figures are still those of the data they were made from. `asked`: with
    `--until`, the steps given and those they need, themselves included.
    """
    steps = {**folder.current()["steps"], **new}
    looked_at = new or steps  # the others were looked at when they came
    whole = [
        name
        for name in names
        if name in steps and (name not in looked_at or folder.step(name, steps[name]).manifest_path.exists())
    ]
    value: Json = {"recipe": recipe, "steps": {name: steps[name] for name in whole}}
    if held := [name for name in whole if name in stale]:
        value["stale"] = held
    if asked is not None:
        value |= {"until": list(asked[0]), "asked": list(asked[1])}
    folder.write_current(value)


def begin_current(folder: RunFolder) -> tuple[Json, bool]:
    """The pointer as a run finds it, and whether it was lost: missing, though a run lies in the folder.

    Raises IntegrityError where it is damaged.
    """
    if folder.current_path.exists():
        return folder.current(), False
    lost = folder.begun
    folder.write_current({"steps": {}})
    return folder.current(), lost


def found_again(
    folder: RunFolder,
    graph: Sequence[Step],
    asked: Container[str],
    key: Callable[[Step, dict[str, Json]], Json],
) -> Json:
    """Versions (name -> fingerprint) of steps outside of what was `asked` for, where the pointer was lost.

    A version counts that is complete and has the key that the step has now. Of an index, whose files are not
    looked at, it is the last one written. Others, such as stale ones, are not found again.
    """
    found: dict[str, str] = dict(folder.current()["steps"])
    for step in graph:
        if step.name in found or step.name in asked or not all(name in found for name in step.needs):
            continue
        inputs = {name: folder.step(name, found[name]).need_manifest() for name in step.needs}
        if step.operator.reads == "files":
            there = sorted(
                (folder.path / "steps" / step.name).glob("*/manifest.json"),
                key=lambda path: (path.stat().st_mtime_ns, path.parent.name),
            )
            held = StepFolder(there[-1].parent).need_manifest() if there else None
        else:
            held = folder.step(step.name, fingerprint(key(step, inputs))).manifest()
        if held is not None:
            found[step.name] = held["fingerprint"]
    return found


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
        if step.name in asked or step.name not in steps or step.operator.reads == "files":
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
