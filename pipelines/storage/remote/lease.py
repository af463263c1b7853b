"""The lease of a run on object storage: at most one driver holds it, and one that lost it is told.

The object `lease.json` names its holder, the holder's epoch, and a beat that the holder counts up every few
seconds. Each write is one on condition of the version that the writer saw. Who wants a lease that is held
watches it by its own clock: one that does not change for `seconds` has lost its holder, and is taken over
with the next epoch. No clocks are compared. A holder that was only slow finds another holder's lease in place
of its own; and whatever it has not yet noticed, its epoch is too low to write what only the driver writes
(`RunStore.write_mutable`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.storage.objects.faults import ChangedObjectError, NoObjectError, ObjectError
from corpusmill.pipelines.storage.objects.store import ObjectStore

log = logging.getLogger("corpusmill.run")

SECONDS = 30.0  # without a change, after which a lease has lost its holder
BEATS = 6  # in that time
_LOOK_SECONDS = 0.5  # between looks at a lease that somebody holds
_TRIES = 8  # to take a lease that others want too


class FencedError(UserError):
    """Another driver has taken over the run."""


@dataclass(frozen=True)
class Held:
    """What the object says. `holder`: the mirror that its driver works with; `every`: seconds between beats;
    `over`: the holder has given it back."""

    epoch: int
    holder: str
    beat: int = 0
    every: float = SECONDS / BEATS
    over: bool = False

    def content(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"

    @classmethod
    def of(cls, content: bytes, url: str) -> Held:
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"{url}: no lease of a run ({error}); remove it, if no driver is at work, and run the same "
                "command again"
            ) from error


class Lease:
    """The lease at `key` for the driver that works with the mirror `holder`; `url` names the run in messages.

    A lease that `holder` itself has left is taken over at once: the caller sees to it that no other driver
    works with the same mirror. `seconds`: see `SECONDS`.
    """

    def __init__(
        self, store: ObjectStore, key: str, url: str, holder: str, seconds: float | None = None
    ) -> None:
        self._store, self._key, self._url, self._holder = store, key, url, holder
        self._seconds = SECONDS if seconds is None else seconds
        self._held: Held | None = None
        self._version: str | None = None
        self._lost = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @property
    def epoch(self) -> int:
        """The number of this driver among those of the run, from 1 on."""
        assert self._held is not None
        return self._held.epoch

    def take(self) -> None:
        """Become the holder. Raises UserError where another driver is at work."""
        for _ in range(_TRIES):
            found, version = self.look()
            if found is not None and not found.over and found.holder != self._holder:
                found, version = self._watch(found, version)
            epoch = 1 if found is None else found.epoch + 1
            held = Held(epoch, self._holder, every=self._seconds / BEATS)
            try:
                self._version = self._store.put_over(self._key, held.content(), version)
            except ChangedObjectError:
                continue
            self._prove_conditions(held)
            self._held = held
            self._thread.start()
            return
        raise self._in_use()

    def _prove_conditions(self, held: Held) -> None:
        """Raise UserError where the server ignores the condition of a write: two drivers would both go on."""
        if self._store.put_new(self._key, replace(held, beat=-1, over=True).content()):
            raise UserError(
                f"{self._url}: the server writes over an object though it was asked not to (If-None-Match); "
                "no run can lie there: take a newer server, another store, or a folder"
            )

    def look(self) -> tuple[Held | None, str | None]:
        """The lease as it is, and its version; None and None where there is none."""
        try:
            content, version = self._store.read(self._key)
        except NoObjectError:
            return None, None
        return Held.of(content, f"{self._url}/lease.json"), version

    def _watch(self, found: Held, version: str | None) -> tuple[Held | None, str | None]:
        """Wait for as long as the holder may be silent; the lease as it was all that time."""
        patience = max(self._seconds, BEATS * found.every)
        log.warning("%s: another driver holds the run; %.0f s show whether it is alive", self._url, patience)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            time.sleep(min(_LOOK_SECONDS, patience / BEATS))
            now, newer = self.look()
            if newer != version and (now is None or now.over):
                return now, newer
            if newer != version:
                raise self._in_use()
        return found, version

    def _in_use(self) -> UserError:
        return UserError(
            f"{self._url}: another run is using this folder; wait for it, or choose another output"
        )

    def held_elsewhere(self) -> bool:
        """Whether a driver with another mirror is at work; one that is silent is watched for as long as it
        may be."""
        found, version = self.look()
        if found is None or found.over or found.holder == self._holder:
            return False
        try:
            self._watch(found, version)
        except UserError:
            return True
        return False

    def check(self) -> None:
        """Raise FencedError where another driver is known to have the run."""
        if self._lost:
            raise self.fenced()

    def prove(self) -> None:
        """Ask whether this driver has the run. Raises FencedError where it has not."""
        found, _ = self.look()
        if found is None or (found.epoch, found.holder) != (self.epoch, self._holder):
            self._lost = True
        self.check()

    def fenced(self) -> FencedError:
        """The error for a driver that has lost the run."""
        return FencedError(
            f"{self._url}: another driver took over this run, since this one was not heard of for "
            f"{self._seconds:g} s; nothing is lost: let that one go on, or run the same command after it"
        )

    def _beat(self) -> None:
        while not self._end.wait(self._seconds / BEATS):
            self._write(lambda held: replace(held, beat=held.beat + 1))
            if self._lost:
                return

    def _write(self, change: Callable[[Held], Held]) -> None:
        assert self._held is not None
        held = change(self._held)
        try:
            try:
                self._version = self._store.put_over(self._key, held.content(), self._version)
                self._held = held
            except ChangedObjectError:
                found, self._version = self.look()
                # An earlier beat of which no answer came is this driver's own.
                self._lost = found is None or (found.epoch, found.holder) != (held.epoch, held.holder)
        except IntegrityError:  # somebody has written something else there
            self._lost = True
        except ObjectError as error:  # the next beat tries again; the run's own requests fail by themselves
            log.debug("%s: %s", self._url, error)

    def give_back(self) -> None:
        """Stop beating, and let the next driver begin at once. Raises FencedError where it was lost.

        Where the store does not answer, the next driver has to wait.
        """
        self._end.set()
        self._thread.join(self._seconds)
        if not self._lost and not self._thread.is_alive():
            self._write(lambda held: replace(held, over=True))
        self.check()
