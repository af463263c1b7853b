"""Documents that end workers, by their unit: kept, so that a run that goes on need not look for them again.

A version of a step reads the same and works by the same code whenever it goes on, so that a document's
ordinal stands for the same document. The file goes with the step's other leavings when the step is complete.
"""

from __future__ import annotations

import json

from corpusmill.pipelines.contract.errors import damaged
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.storage.sealed import write_atomic

Poison = dict[int, tuple[str, str]]  # ordinal (see `marker`) -> (stage, cause)


def keep_poison(folder: StepFolder, unit: int, poison: Poison) -> None:
    """Keep what is known of a unit."""
    path = folder.poison_path(unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({str(number): list(found) for number, found in poison.items()}).encode())


def known_poison(folder: StepFolder, unit: int) -> Poison:
    """What was kept of a unit; nothing of most. Raises IntegrityError for a file that is damaged."""
    path = folder.poison_path(unit)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        return {
            int(number): (str(stage), str(cause)) for number, (stage, cause) in json.loads(content).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise damaged(f"{path}: it does not name documents ({error})") from error
