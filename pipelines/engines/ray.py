"""Tasks run as Ray tasks over the same units; data moves through files, Ray carries specs and receipts.

Without an address a local Ray is started for this run (6-9 s); with one, the run joins that cluster, whose
nodes must see the run and input folders under the same paths and have corpusmill installed. Ray's own
retries are off: the scheduler decides.
"""

from __future__ import annotations

import os
from typing import Any

from corpusmill.pipelines.engines.engine import Died, Event
from corpusmill.pipelines.engines.worker import attempt
from corpusmill.pipelines.errors import UserError
from corpusmill.pipelines.storage import Json

CANCEL_SECONDS = 30.0


class RayEngine:
    """`slots` tasks in flight; each takes one of Ray's CPUs."""

    beats = False

    def __init__(self, slots: int | None, address: str | None) -> None:
        # Ray writes a line about accelerators to every log unless told what it will do in future anyway.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address is not None:
            _require_token(address)
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
        try:
            # None would join whatever cluster happens to run on this machine.
            ray.init(address=address or "local", **options)
        except (ConnectionError, RuntimeError) as error:
            raise UserError(
                f"engine.address: cannot join Ray at {address}: {error}; check that it runs, that this "
                "machine reaches it, and that RAY_AUTH_TOKEN or ~/.ray/auth_token holds its token"
            ) from error
        self.slots = slots or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._remote = ray.remote(max_retries=0, num_cpus=1, max_calls=0)(attempt)
        self._tickets: dict[Any, int] = {}

    def submit(self, ticket: int, task: Json) -> None:
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
            except self._ray.exceptions.RayError as error:
                first = str(error).splitlines()[0] if str(error) else ""
                events.append(Died(ticket, f"{type(error).__name__}: {first}"))
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
