"""The queue of a run: the folder, or the objects, through which its driver and its workers speak.

    queue/session.json               the driver that is at work, and whether it is over
    queue/<session>/orders/<batch>   tasks for one worker, in order; removed when they are done or withdrawn
    queue/<session>/claims/<batch>   made by the worker that takes the batch: nobody else may
    queue/<session>/mail/<letter>    what a worker tells: that it is there, what it has in hand, what is done

All of it is JSON (`records/codec`); nothing is pickled. A task names code to run (plugins), so the folder is
its owner's alone, and a worker serves no queue that somebody else owns or can write to, nor one of another
version of corpusmill's code. Of a run on object storage they are objects with these names, which whoever may
write to the run may write.

A lease is a batch whose worker writes letters. Whether it still does is judged by the driver alone, on its
own clock: machines need no common time. A batch is withdrawn by removing its order. The worker that had it
looks for the order before each task and once a second, and drops the batch where it is not there. Should it
commit a unit nevertheless, it is with the same bytes as any other attempt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.codec import decode, decode_file, encode, encode_file
from corpusmill.pipelines.run.engines.engine import Died, Done, Failed, Order, Outcome
from corpusmill.pipelines.run.task import Task
from corpusmill.pipelines.storage.remote.mirrors import location_of, store_of_run
from corpusmill.pipelines.system.shared_files import Shared, SharedFolder

FOLDER = "queue"
_SESSION = "session.json"


@dataclass(frozen=True)
class Session:
    """One driver's time with the queue: its name, the digest of its code, the digests of the plugins that its
    tasks may use, by path, and whether it is over."""

    RECORD: ClassVar[str] = "session"
    VERSION: ClassVar[int] = 1

    name: str
    code: str
    plugins: Mapping[str, str]
    over: bool = False


@dataclass(frozen=True)
class Orders:
    """The tasks of a batch, by ticket, in order."""

    tasks: Mapping[int, Task]


@dataclass(frozen=True)
class Letter:
    """What a worker tells: its name; of a batch the ticket in hand, the resident memory of the process that
    works in bytes, whether that has shown life since the last letter, what has ended since, and whether the
    worker is through with the batch."""

    worker: str
    batch: str = ""
    ticket: int = 0
    rss: int = 0
    alive: bool = False
    done: tuple[Done, ...] = ()
    failed: tuple[Failed, ...] = ()
    died: tuple[Died, ...] = ()
    through: bool = False

    @property
    def outcomes(self) -> list[Outcome | Died]:
        return [*self.done, *self.failed, *self.died]


@dataclass(frozen=True)
class Queue:
    """The queue of the run in `run`, its folder or its mirror."""

    run: Path
    shared: Shared = field(init=False)

    def __post_init__(self) -> None:
        store = store_of_run(self.run)
        shared = SharedFolder(self.run / FOLDER) if store is None else store.shared(FOLDER)
        object.__setattr__(self, "shared", shared)

    @property
    def location(self) -> str:
        """The run's folder or URL."""
        return location_of(self.run)

    def open(self, session: Session) -> None:
        """Begin a session; what an earlier one left is removed. Its tasks are its owner's alone to write."""
        self.shared.begin(session.name, ("orders", "claims", "mail"))
        self.shared.put(_SESSION, _content(session))

    def session(self) -> Session | None:
        """The last session; None before the first.

        Raises UserError where somebody else could have written it, OtherVersionError where another version
        did.
        """
        content = self.shared.read(_SESSION)
        if content is None:
            return None
        if (stranger := self.shared.stranger()) is not None:
            raise UserError(stranger)
        return decode_file(Session, json.loads(content), f"{self.location}/{FOLDER}/{_SESSION}")

    def offer(self, session: str, batch: str, orders: Sequence[Order]) -> None:
        """Leave a batch for whoever claims it."""
        content = json.dumps(encode(Orders(dict(orders))))
        self.shared.put(f"{session}/orders/{batch}", content.encode())

    def withdraw(self, session: str, batch: str, *, claim_stays: bool = False) -> None:
        """Take a batch back, whether somebody claimed it or not; also once it is done. Where the claim stays,
        its worker removes it as it lets go."""
        for kind in ("orders",) if claim_stays else ("orders", "claims"):
            self.shared.remove(f"{session}/{kind}/{batch}")

    def holds(self, session: str, batch: str) -> bool:
        """Whether a batch is still to be worked on."""
        return self.shared.read(f"{session}/orders/{batch}") is not None

    def claimed(self, session: str) -> list[str]:
        """Batches that workers took."""
        return self.shared.names(f"{session}/claims")

    def is_claimed(self, session: str, batch: str) -> bool:
        """Whether a worker still has its claim of a batch."""
        return self.shared.read(f"{session}/claims/{batch}") is not None

    def take(self, session: str, worker: str) -> tuple[str, list[Order]] | None:
        """Claim the first batch that nobody has; None where there is none."""
        taken = set(self.claimed(session))
        for batch in self.shared.names(f"{session}/orders"):
            place = f"{session}/claims/{batch}"
            try:
                if batch in taken or not self.shared.claim(place, worker):
                    continue
            except FileNotFoundError:  # the session has ended
                return None
            content = self.shared.read(f"{session}/orders/{batch}")
            if content is not None:
                orders = decode(Orders, json.loads(content), f"batch {batch} of {self.location}")
                return batch, list(orders.tasks.items())
            self.shared.remove(place)  # it was withdrawn meanwhile
        return None

    def leave(self, session: str, batch: str) -> None:
        """Give up the claim of a batch that was withdrawn: nothing of it runs any more."""
        self.shared.remove(f"{session}/claims/{batch}")

    def tell(self, session: str, name: str, letter: Letter) -> None:
        """Leave a letter; it is lost where the session has ended."""
        content = json.dumps(encode(letter)).encode()
        try:
            self.shared.put(f"{session}/mail/{name}", content)
        except FileNotFoundError:  # raised where the folder of the session was removed
            return

    def letters(self, session: str) -> list[Letter]:
        """Take out all letters, each worker's in the order it wrote them."""
        found = []
        for name in self.shared.names(f"{session}/mail"):
            content = self.shared.read(f"{session}/mail/{name}")
            if content is not None:
                found.append(decode(Letter, json.loads(content), f"letter {name} of {self.location}"))
                self.shared.remove(f"{session}/mail/{name}")
        return found

    def close(self, session: Session) -> None:
        """End a session: workers stop what they do and end. What stays tells nothing of the run."""
        over = Session(session.name, session.code, {}, over=True)
        self.shared.put_over(_SESSION, _content(session), _content(over))
        self.shared.clear(session.name)


def _content(session: Session) -> bytes:
    return json.dumps(encode_file(session)).encode()


def file_digest(path: Path) -> str:
    """SHA-256 of a plugin's file, as `contract.plugins` has it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
