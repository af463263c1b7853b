"""The one abstraction: a stage is a frozen value whose fields are its YAML options.

Three kinds, named for how documents meet:

- `Map` (`Filter` judges, `Edit` changes): row-local, `f(a ++ b) == f(a) ++ f(b)`; runs of maps are fused.
- `Exchange`: rows of equal key meet, in one round or several: `emit` keys rows, each round keys them anew.
- `Fold`: `map -> combine -> finish` into a small named artefact; combine is associative and commutative.

Stages know nothing of files of the run, ranks, workers or engines. Randomness comes from `Context.seed` and
document ids alone. A stage named `min_words` is the class `MinWords` in the module `<room>/min_words.py`: the
name is the only registration. Heavy imports (numba, torch) belong inside methods: validating stays fast.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

from corpusmill.pipelines.contract.ceiling import Ceiling
from corpusmill.pipelines.contract.context import Context as Context
from corpusmill.pipelines.contract.cutting import Cutting
from corpusmill.pipelines.contract.option_paths import OptionPath, paths_among
from corpusmill.pipelines.contract.thresholds import Thresholds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Columns, Documents
    from corpusmill.pipelines.contract.recall import SampledPairs
    from corpusmill.pipelines.contract.resolution import Resolution
    from corpusmill.pipelines.contract.rules import Rule


def snake_case(name: str) -> str:
    """`FinewebQuality` -> `fineweb_quality`: the rule from class to stage and module name."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Stage(BaseModel, ABC):
    """Base of all stages: a frozen pydantic model; unknown options are refused.

    `libraries`: distributions whose version can change its output; they enter its fingerprint. `consumes`:
    columns it reads beyond the fixed schema's metadata; `produces`: columns it fills. `artefacts`: names of
    those it needs. `incidental`: options that cannot change its output, which its fingerprint leaves out.
    Editors show an option's description, of one line with unit and source: `Field(5, description="...")`.

    An option annotated as `Path` names a file or folder to read: in a recipe it is relative to the recipe, it
    must be there when the recipe is checked, and its content is part of the stage's fingerprint; a
    folder is a fault for those in `single_files`. Numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

    name: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    consumes: ClassVar[tuple[str, ...]] = ("text",)
    produces: ClassVar[tuple[str, ...]] = ()
    artefacts: ClassVar[tuple[str, ...]] = ()
    incidental: ClassVar[tuple[str, ...]] = ()
    single_files: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)

    def prepare(self, context: Context) -> Self:
        """This stage ready to work: artefacts loaded, models opened (once per worker and step).

        Override to keep loaded things in pydantic private attributes of a copy
        (`ready = self.model_copy(); ready._grams = ...; return ready`)."""
        return self

    def marks(self) -> Marks | None:
        """What a map, or a fold's `map`, takes from some artefacts; None: all that they hold may count."""
        return None

    def warm(self) -> None:
        """Compile kernels, if any: once per worker and step, before the first document, and, without
        `prepare`, in the process that compiles ahead."""

    def conflicts(self, before: Sequence[Stage]) -> Sequence[tuple[str | OptionPath, str]]:
        """Options that cannot hold after the steps `before` it: (option or the path below one, what is
        wrong). Asked when the recipe is checked; of a section's stage after the steps of each source."""
        return []

    def remarks(self, before: Sequence[Stage]) -> list[str]:
        """What people should know of it, though nothing is wrong; asked as `conflicts` is, by `validate`."""
        return []

    def external_files(self) -> tuple[Path, ...]:
        """Files outside the run that this stage reads by itself: their content enters its fingerprint.

        Unless overridden, every path among its options, which are those annotated as `Path`. A folder stands
        for all files in it."""
        return tuple(paths_among(dict(self)))


class Seeded(Stage):
    """A stage that draws: it keeps the recipe's seed when prepared. Put it before the kind it mixes into."""

    _seed: int | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        ready = self.model_copy()
        ready._seed = context.seed
        return ready

    def known_seed(self) -> int:
        """The recipe's seed. Raises RuntimeError before `prepare`: a missing seed must not pass for 0."""
        if self._seed is None:
            raise RuntimeError(f"{self.name} needs the recipe's seed: call prepare first")
        return self._seed


@dataclass(frozen=True)
class Outcome:
    """What a map says of its rows: the same rows in the same order, with two string columns.

    `reasons`: null keeps the row, anything else removes it and is counted.
    `faults`: null is sound, anything else quarantines the row (it wins over a reason). What stands before a
    colon is the reason that is counted, the whole is the row's detail.
    `cut`: by reason, bytes int64[n] of each text as it came that were cut out or replaced, where told."""

    documents: Documents
    reasons: pa.Array
    faults: pa.Array
    cut: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


class Map(Stage):
    """Row-local stage. Implementers choose `Filter` or `Edit`."""

    @abstractmethod
    def apply(self, docs: Documents) -> Outcome:
        """Judge or change each row by itself."""


class Filter(Map, Thresholds, Cutting):
    """Judges documents: `score` measures, `judge` turns scores into reasons.

    Scores are kept in the output as `<stage>.<score>`, so another threshold needs no second scan. `rules`
    (see `contract.rules`) gives `produces` unless the class does; `measured`: see `contract.thresholds`.
    """

    rules: ClassVar[tuple[Rule, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "rules" in cls.__dict__ and "produces" not in cls.__dict__:
            cls.produces = tuple(dict.fromkeys(f"{cls.name}.{rule.score}" for rule in cls.rules))

    @abstractmethod
    def score(self, docs: Documents) -> Columns:
        """Score columns of n rows each."""

    def judge(self, scores: Columns) -> pa.Array:
        """Reasons string[n] from the scores alone, by `rules` against the options; null keeps."""
        from corpusmill.pipelines.contract.rules import judged

        return judged(self.listed_rules(), scores, partial(getattr, self))

    def apply(self, docs: Documents) -> Outcome:
        from corpusmill.pipelines.contract.documents import nothing
        from corpusmill.pipelines.contract.stored_scores import scores_of

        scores = scores_of(self, docs)
        columns = {f"{self.name}.{key}": values for key, values in scores.items()}
        return Outcome(docs.with_columns(columns), self.judge(scores), nothing(len(docs)))

    def warm(self) -> None:
        """Compile the kernels of the filters of corpusmill that need no `prepare`, on an empty batch."""
        if type(self).__module__.startswith("corpusmill.") and type(self).prepare is Stage.prepare:
            from corpusmill.pipelines.contract.documents import SCHEMA, Documents

            self.apply(Documents(SCHEMA.empty_table()))


class Edit(Map):
    """Changes documents: `edit` gives the new rows; it may also remove or quarantine them."""

    @abstractmethod
    def edit(self, docs: Documents) -> Documents | Outcome:
        """The same rows, changed."""

    def apply(self, docs: Documents) -> Outcome:
        from corpusmill.pipelines.contract.documents import nothing

        edited = self.edit(docs)
        if isinstance(edited, Outcome):
            return edited
        return Outcome(edited, nothing(len(docs)), nothing(len(docs)))


@dataclass(frozen=True)
class Emitted:
    """Rows sent to their partitions.

    `rows` holds `key` uint64, `unit` uint32 and `row` uint32 (the address of the document) and whatever
    else the reducer needs. `side`, optional, is one table for this batch with one row a document, stored
    beside the unit for the rounds that ask for it (`WithSides`; see `addresses.ASCENDING` for its fields)."""

    rows: pa.Table
    side: pa.Table | None = None


@dataclass(frozen=True)
class Sent:
    """What became of the n documents that a scatter was shown, for its ledger.

    `sent` bool[n]: which are sent, whole or in part; `sizes` int64[n]: bytes of each that are sent; `reasons`
    string[n]: why a document, or the rest of it, is not sent; null for one that is sent whole."""

    sent: npt.NDArray[np.bool_]
    sizes: npt.NDArray[np.int64]
    reasons: pa.Array


class Scatter(Stage):
    """First half of an exchange: keys rows. Partition of a row = (key * partitions) >> 64.

    `address_only`: the number of the unit that `emit` is given stands in the column `unit` of its rows, and
    nothing else of what it gives follows from it. What a unit sends may then be taken over from an earlier
    version in which it had another number.
    """

    address_only: ClassVar[bool] = False

    def partitions(self, context: Context) -> int | None:
        """How many partitions rows should meet in, asked before `prepare`; None: as their bytes ask."""
        return None

    def row_bytes(self, documents: int, size: int) -> int:
        """About how many bytes of rows, without side rows, `emit` sends of so many documents whose texts have
        `size` bytes together, before `prepare`; 0: not known. More than the text make for more partitions."""
        return 0

    def sent(self, docs: Documents, rows: npt.NDArray[np.uint32], emitted: Emitted) -> Sent | None:
        """What became of `docs`, at the row addresses `rows`, of which `emitted` is what was sent.

        None, unless overridden: all of them go on, and later steps account for them.
        """
        return None

    @abstractmethod
    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """Rows for the partitions from one batch; `rows` uint32[n] are its documents' row addresses."""


class Gather(Stage):
    """Second half of an exchange: sees one whole partition, sorted by (key, unit, row)."""


@dataclass(frozen=True)
class Found:
    """What the last round of an exchange finds; None is nothing.

    `removals`: rows of `addresses.DUPLICATES`, one a document to remove. `edits`: rows of `addresses.EDITS`,
    one a span to cut from a document; nothing is cut from one that is removed.
    """

    removals: pa.Table | None = None
    edits: pa.Table | None = None


Round = Callable[["pa.Table"], "pa.Table | Found"]
"""From the rows of a partition to rows for the next round or, in the last one, to what the exchange finds."""


@dataclass(frozen=True)
class WithSides:
    """A round that is shown side rows: `work(rows, side)` gives what a `Round` gives.

    All rows of a document meet, sorted by (unit, row), with its side row in `side`. `at_once`: rows at most,
    if a round makes of each what it would alone; a document's may be shown apart then. `packed`: `ASCENDING`
    columns come and go on as they are stored, or null, and the next round is shown lists."""

    work: Callable[[pa.Table, pa.Table], pa.Table | Found]
    at_once: int | None = None
    packed: bool = False


class Exchange(Scatter, Gather, Ceiling):
    """Rows of equal key meet, whatever documents they come from, round after round: to remove and to cut.

    `emit` keys rows for the first round. A round is shown all rows of some keys, sorted by (key, unit, row),
    and from the second round on by their other columns too (not nested ones), so that arrival never matters;
    what it makes of the rows of a key must not depend on other keys. All rounds but the last give rows with
    `key`, `unit` and `row` as `Emitted` has them, keyed anew; the last gives `Found`. `unit` and `row` are an
    address that `emit` saw: where a round raises on its rows, that document is quarantined, and left out of
    the rounds after it.
    """

    @abstractmethod
    def rounds(self) -> Sequence[Round | WithSides]:
        """The rounds in their order; at least one. Number and kinds may depend on options alone."""


class Deduplicate(Exchange):
    """An exchange, of one round unless overridden, that removes documents. `reduce`, its last round, gives
    removals, unless `resolution` names a rule for its pairs, or `resolve`, which sees all, is overridden.

    `remembers`: a number for what `emit` gives, raised when that changes, if later runs may be compared with
    the documents (`contract.known`). An option `priority` orders sources."""

    remembers: ClassVar[int | None] = None

    def rounds(self) -> Sequence[Round | WithSides]:
        return (lambda rows: Found(removals=self.reduce(rows)),)

    @abstractmethod
    def reduce(self, rows: pa.Table) -> pa.Table:
        """Pairs found in one partition, as `DUPLICATES`."""

    def effective(self) -> dict[str, Any]:
        """Options as they count, JSON-ready; overridden where a preset decides what null means."""
        return self.model_dump(mode="json")

    def resolution(self) -> Resolution | None:
        """A rule for the pairs; it may depend on options alone."""
        return None

    def pairs_among(self, docs: Documents) -> SampledPairs | None:
        """All pairs that are alike among some documents, and how likely this stage's search finds each, for
        people to judge it by. None, unless overridden: it has nothing to say."""
        return None

    def resolve(self, found: pa.Table) -> pa.Table:
        """From all pairs to removals, one row a document. Raises TypeError where a rule decides."""
        if self.resolution() is not None:
            raise TypeError(f"{self.name} names a rule for its pairs: there is no `resolve` to build upon")
        return found


class Regroup(Scatter, Gather):
    """An exchange of one round that brings documents together and returns them (same rows, a new order)."""

    @abstractmethod
    def reduce(self, rows: pa.Table) -> Documents:
        """One partition's documents; `rows` are whatever `emit` sent."""


class Write(Gather):
    """Second half of an exchange that writes final files."""

    @abstractmethod
    def write(self, rows: pa.Table, partition: int, folder: Path) -> dict[str, Any]:
        """Write this partition's files into `folder`; returns a JSON-ready summary for the receipt."""


UNIT, ROW = "_unit", "_row"


class Fold(Stage):
    """Condenses documents into a named artefact.

    `addressed`: `map` is given the documents with their addresses, as columns `_unit` and `_row` (uint32).
    `columns`: those it is given; null is all."""

    addressed: ClassVar[bool] = False
    columns: ClassVar[tuple[str, ...] | None] = None

    @abstractmethod
    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """Partial of one unit."""

    @abstractmethod
    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """One partial of several; associative and commutative up to the final result."""

    @abstractmethod
    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the artefact's files into `folder`; returns a JSON-ready summary."""


class Task(Stage):
    """A single unit that works on finished steps as a whole, such as training."""

    @abstractmethod
    def run(self, inputs: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, Any]:
        """`inputs` maps a step to its files in order; writes into `folder`; returns a summary."""

    def resume(self, inputs: Mapping[str, Sequence[Path]], folder: Path, scratch: Path) -> dict[str, Any]:
        """As `run`, which is what this does unless overridden; the runner calls it.

        `scratch` is kept when an attempt fails or is killed, handed to the next one with the same
        fingerprint, and removed once the step is complete: a place for checkpoints, from which the result
        must be the same as from the start. Two attempts may hold it at once where a lost worker lives on.
        `unit_progress.write_progress` in it tells the user how far the work has got. On SIGTERM a task may
        take a few seconds to leave its work in order; it then raises `Interrupted`."""
        return self.run(inputs, folder)
