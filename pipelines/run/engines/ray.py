"""Tasks run as Ray tasks over the same units; data moves through files, Ray carries specs and receipts.

Without an address a local Ray is started for this run (6-9 s); with one, the run joins that cluster, whose
nodes must see the run and input folders under the same paths and have corpusmill installed. Ray's own
retries are off: the scheduler decides.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.run.engines.engine import Culprit, Died, Event, Failed, Order
from corpusmill.pipelines.run.engines.isolation import (
    HOME,
    child_environment,
    home_needs_naming,
    python_command,
)
from corpusmill.pipelines.run.engines.worker import attempt_in_worker

CANCEL_SECONDS = 30.0
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 40.0
_ASK = (
    "from ray._private.services import canonicalize_bootstrap_address as known; from ray._raylet import "
    "GcsClient; GcsClient(address=known(sys.argv[1])).get_all_node_info()"
)


class RayEngine:
    """`slots` tasks in flight; each takes one of Ray's CPUs."""

    beats = False
    batch_seconds = 0.0

    def __init__(self, slots: int | None, address: str | None) -> None:
        # Ray writes a line about accelerators to every log unless told what it will do in future anyway.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address is not None:
            _require_token(address)
            _require_answer(address)
        import ray

        self._ray = ray
        if ray.is_initialized():
            raise UserError("this process already uses Ray; run corpusmill in a process of its own")
        options: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": "ERROR",
            "configure_logging": True,
        }
        if address is None:
            options |= {"include_dashboard": False, "num_cpus": slots or os.cpu_count()}
        if address is None or not address.startswith("ray://"):  # Ray's client adds no folder of its own
            options["job_config"] = _job_config()
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(child_environment(before))  # what a local Ray and its workers inherit
        try:
            # None would join whatever cluster happens to run on this machine.
            ray.init(address=address or "local", **options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _unreachable(address, f"{type(error).__name__}: {error}") from error
        finally:
            os.environ.pop("PYTHONSAFEPATH", None)
            os.environ.update(before)
        self.slots = self.room = slots or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._remote = ray.remote(max_retries=0, num_cpus=1, max_calls=0)(attempt_in_worker)
        self._tickets: dict[Any, int] = {}

    def submit(self, batch: Sequence[Order]) -> None:
        ((ticket, task),) = batch
        self._tickets[self._remote.remote(ticket, task)] = ticket

    def poll(self, timeout: float) -> list[Event]:
        if not self._tickets:
            return []
        ready, _ = self._ray.wait(list(self._tickets), num_returns=1, timeout=timeout)
        events: list[Event] = []
        for reference in ready:
            ticket = self._tickets.pop(reference)
            try:
                events.append(self._ray.get(reference))
            except self._ray.exceptions.RayTaskError as error:  # before our code, which raises nothing
                events.append(Failed(ticket, "internal", _first_line(error), str(error)))
            except self._ray.exceptions.RayError as error:
                events.append(Died(ticket, f"{type(error).__name__}: {_first_line(error)}", _culprit(error)))
        return events

    def cancel(self, ticket: int) -> None:
        for reference, number in list(self._tickets.items()):
            if number == ticket:
                self._ray.cancel(reference, force=True)
                # Cancelling is a request: wait for the end, or two attempts might commit side by side.
                self._ray.wait([reference], timeout=CANCEL_SECONDS)
                del self._tickets[reference]

    def close(self) -> None:
        self._tickets.clear()
        self._ray.shutdown()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _culprit(error: Exception) -> Culprit:
    """Who ended a worker.

    Ray tells apart the deaths of nodes and of its own parts. Of a worker it says that it died, or that the
    memory monitor killed it, and in both cases the task may be the reason.
    """
    return "unclear" if type(error).__name__ in ("WorkerCrashedError", "OutOfMemoryError") else "outside"


def _job_config() -> Any:
    """A job whose workers get no folder of the driver's on their `sys.path`.

    Ray adds the driver's working directory and the folder of its script, first of all. The list it adds them
    to is replaced by one that is always new. A folder that only this driver's start made importable is named
    all the same where corpusmill itself lies in it.
    """
    from ray.job_config import JobConfig

    class NoDriverFolders(JobConfig):  # type: ignore[misc]  # Ray has no types
        @property
        def _py_driver_sys_path(self) -> list[str]:
            return [HOME] if home_needs_naming() else []

        @_py_driver_sys_path.setter
        def _py_driver_sys_path(self, value: list[str]) -> None:
            pass

    return NoDriverFolders()


def _require_answer(address: str) -> None:
    """Raise UserError unless a cluster answers at `address` within `ANSWER_SECONDS`.

    Ray itself tries for minutes and may end the process; so a process of its own asks.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise _unreachable(address, f"{error}") from error
        if address.startswith("ray://"):
            return
    try:
        asked = subprocess.run(
            python_command(_ASK, address),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS,
            check=False,
            env=child_environment(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, f"no answer within {ANSWER_SECONDS:g} s") from error
    if asked.returncode != 0:
        said = [line for line in asked.stderr.splitlines() if line.strip()]
        raise _unreachable(address, said[-1] if said else f"the enquiry exited with {asked.returncode}")


def _unreachable(address: str | None, why: str) -> UserError:
    if address is None:
        return UserError(f"engine: a local Ray does not start: {why}; try `engine.kind: process`")
    return UserError(
        f"engine.address: cannot join Ray at {address}: {why}; check that it runs, that this "
        "machine reaches it, and that RAY_AUTH_TOKEN or ~/.ray/auth_token holds its token"
    )


def _require_token(address: str) -> None:
    """Join clusters with token authentication only: whoever can reach an open one can run code on it.

    Ray finds the token in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token. Raises UserError where
    authentication was switched off.
    """
    if os.environ.setdefault("RAY_AUTH_MODE", "token") != "token":
        raise UserError(
            f"engine.address: RAY_AUTH_MODE={os.environ['RAY_AUTH_MODE']} would join Ray at {address} "
            "without authentication; unset it and give the cluster's token in RAY_AUTH_TOKEN"
        )
