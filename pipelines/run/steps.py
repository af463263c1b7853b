"""The steps of a recipe in its run folder: what each is made from, its key, and whether it is complete.

Nothing is run here, so that a plan asks the same as a run: what there is to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from corpusmill.pipelines.recipe.listing import Reached, list_files
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.recipe.places import Stamp
from corpusmill.pipelines.records.manifest import StepKey
from corpusmill.pipelines.run.earlier_runs import EarlierRuns
from corpusmill.pipelines.run.fingerprint import fingerprint, need_external_files, step_key
from corpusmill.pipelines.run.graph import build_graph, with_needs
from corpusmill.pipelines.run.inputs import forget_false_index, index_of, listing_key, source_of
from corpusmill.pipelines.run.keeping import Keeping
from corpusmill.pipelines.run.operators.job import Preparation
from corpusmill.pipelines.run.repair import Repairs
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.storage.objects.current import use_storage
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.sealed import digest


class Steps:
    """The steps of one recipe, in order. `limit`: documents read from each unit's splits, for estimates.

    `repair`: verify every step before it is used, and prepare what is damaged to be made again.
    `verify_inputs`: compare every input file with its index, so that other bytes of the same size and
    modification time are found.
    """

    def __init__(
        self, recipe: Recipe, limit: int | None = None, *, repair: bool = False, verify_inputs: bool = False
    ) -> None:
        self.recipe = recipe
        use_storage(recipe.storage)
        self.folder = RunFolder(recipe.output_folder)
        self.limit = limit
        self.repairs = Repairs() if repair else None
        self.verify_inputs = verify_inputs
        self.graph = build_graph(recipe)
        self.earlier = EarlierRuns(recipe.name, self.folder.path)
        self.states = {step.name: StepState(step) for step in self.graph}
        self.keeping = Keeping(recipe.keep, self.graph)
        self._paths: dict[str, dict[str, str]] = {}
        self._stamps: dict[str, dict[str, Stamp]] = {}  # by index: what each file was when it was listed

    def narrow(self, until: Sequence[str]) -> None:
        """Keep the steps in `until` and those that they need."""
        asked = with_needs(self.graph, until)
        self.states = {name: state for name, state in self.states.items() if name in asked}

    def list_inputs(self) -> None:
        """Expand every source's patterns. Raises RecipeError where one matches nothing.

        Files that stages read by themselves, and what earlier runs remember, are looked for too: UserError
        where something is missing, before hours of work that lead up to it.
        """
        reached: Reached = {}
        for name, state in self.states.items():
            need_external_files(state.step)
            self.earlier.of(state.step)
            if state.step.operator.reads == "files" and name not in self._paths:
                source = source_of(self.recipe, name)
                self._paths[name] = list_files(source.name, source.reader, self.recipe.data_folder, reached)

    def prepare(self, state: StepState) -> None:
        """Find the step's folder, and use its manifest if it is complete. Its inputs must be complete."""
        step = state.step
        contents: dict[str, str] = {}
        for name in step.needs:
            folder = self.states[name].folder
            assert folder is not None, f"{step.name} was prepared before {name}"
            contents[name] = folder.need_manifest().content
        state.key = self.key(step, contents)
        state.fingerprint = fingerprint(state.key)
        state.folder = self.folder.step(step.name, state.fingerprint)
        if self.verify_inputs and step.operator.reads == "files":
            forget_false_index(state.folder, source_of(self.recipe, step.name), self._paths[step.name])
        if self.repairs is not None:
            self.repairs.prepare(step.name, state.folder)
        manifest = state.folder.manifest()
        if manifest is None:
            return
        state.complete = state.reused = True
        state.total = len(manifest.units)
        if not self.keeping.goes(step) and self.keeping.lacks_files(state):
            self.undo(state)

    def undo(self, state: StepState) -> None:
        """Let a complete step be done again whose files were not kept."""
        state.complete = state.reused = state.opened = False
        state.remade = True

    def key(self, step: Step, contents: Mapping[str, str]) -> StepKey:
        """The step's key, given the content of what it needs, by step."""
        listed: str | None = None
        if step.operator.reads == "files":
            listing = listing_key(source_of(self.recipe, step.name).reader, self._paths[step.name])
            self._stamps[step.name] = {path: (size, time, held) for _, path, size, time, held in listing}
            listed = digest(listing)
        unit_bytes = self.unit_bytes(step) if step.operator.of_files else None
        limit = self.limit if step.operator.reads == "splits" else None
        known = [(run.name, run.remembered.need_manifest().content) for run in self.earlier.of(step)]
        return step_key(
            step,
            self.recipe.seed,
            contents,
            known=known,
            listing=listed,
            unit_bytes=unit_bytes,
            limit=limit,
        )

    def unit_bytes(self, step: Step) -> int:
        """Bytes a unit of a reading step aims for."""
        return int(step.stages[0].options["split_bytes"])

    def paths(self, step: Step) -> dict[str, str]:
        """`{name: path}` of the files a step indexes or reads; empty for any other step."""
        return self._paths.get(index_of(step), {})

    def stamps(self, step: Step) -> dict[str, Stamp]:
        """What these files were when they were listed, by path."""
        return self._stamps.get(index_of(step), {})

    def folder_of(self, name: str) -> StepFolder:
        """The folder of a step that was prepared."""
        folder = self.states[name].folder
        assert folder is not None
        return folder

    def preparation(self, state: StepState) -> Preparation:
        """What the step's operator lists its units from. What the step needs must be complete."""
        step = state.step
        folders = {name: self.folder_of(name) for name in step.needs}
        folders |= {run.folder: run.remembered for run in self.earlier.of(step)}
        size = self.unit_bytes(step) if step.operator.of_files else 0
        return Preparation(step, folders, self.paths(step), size, self.stamps(step), self.recipe.seed)
