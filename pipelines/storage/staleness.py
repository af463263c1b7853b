"""Steps whose output no longer holds: made from something other than what the run now has."""

from __future__ import annotations

from collections.abc import Mapping

from corpusmill.pipelines.records.manifest import Manifest
from corpusmill.pipelines.storage.run_folder import RunFolder


def stale_steps(folder: RunFolder) -> set[str]:
    """Names of steps whose output no longer holds, as `RunRecord.stale`, but from the manifests alone.

    In a part of a run, such as a trained model that was copied with its tokenizer, whose other steps are not
    there, they are those that the last run named. Raises IntegrityError on damage.
    """
    current = folder.current()
    by_step = {name: folder.step(name, version).manifest() for name, version in current.steps.items()}
    there = {name: manifest for name, manifest in by_step.items() if manifest is not None}
    return set(current.stale) | (outdated(there) if len(there) == len(by_step) else set())


def outdated(manifests: Mapping[str, Manifest]) -> set[str]:
    """Steps made from something other than what the run now holds, directly or through their inputs."""
    contents = {name: manifest.content for name, manifest in manifests.items()}
    known = set(contents.values())
    stale: set[str] = set()
    for _ in manifests:  # each pass moves staleness one step on
        before = len(stale)
        for name, manifest in manifests.items():
            key = manifest.key
            named = dict((*key.inputs, *key.masks))
            wrong = any(contents.get(step) != content or step in stale for step, content in named.items())
            used = key.artefacts.values()
            fresh = {contents[step] for step in contents if step not in stale} if used else set()
            if wrong or any(content not in known or content not in fresh for content in used):
                stale.add(name)
        if len(stale) == before:
            break
    return stale
