"""Ranks on a Ray cluster: one placement group for all of them, as one unit of the step.

The unit's worker starts a keeper, an actor that asks for the placement group (one bundle of `threads` CPUs a
rank, and a GPU where it trains on one, on as few nodes as may be) and starts an actor in each bundle, which
starts its rank as a process of its own and watches it as on one machine. While the worker waits, Ray gives
its own CPU to others.

Nothing stays behind, whatever becomes of unit, worker or driver. Ray removes a placement group at the end of
the job, or as the actor that made it dies, but then only if that is a detached one, which ends with nobody.
So the keeper is detached, and tied to the worker by a second actor, which does nothing and dies with the
worker, as actors do: the keeper then ends itself, and with it the ranks' actors and the group.

Runs on object storage are known to this machine alone, so all ranks are started on it.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.training_hooks.launch.ending import Ending
from corpusmill.training_hooks.launch.fault import End, cause
from corpusmill.training_hooks.launch.gang import LOOPBACK, Gang
from corpusmill.training_hooks.launch.work import Meeting, Work

log = logging.getLogger("corpusmill.train")

WAIT_SECONDS = 600.0  # that an autoscaler may take to bring the nodes
POLL_SECONDS = 0.5
_LOCAL = "127.0.0.1"


def in_ray() -> bool:
    """Whether this process is a worker of Ray."""
    ray: Any = sys.modules.get("ray")
    return (
        ray is not None and ray.is_initialized() and ray._private.worker.global_worker.mode == ray.WORKER_MODE
    )


@dataclass(frozen=True)
class Placed:
    """What the ranks of a gang take: so many of so many CPUs each, and of a GPU where `gpus`; `here`: all on
    this node."""

    ranks: int
    threads: int
    silence: float
    here: bool
    gpus: bool

    @property
    def needs(self) -> dict[str, int]:
        """Of all ranks together, by Ray's names."""
        cpus = {"CPU": self.ranks * self.threads}
        return {**cpus, "GPU": self.ranks} if self.gpus else cpus


def train_on_ray(work: Work, placed: Placed) -> dict[str, Any]:
    """The summary of rank 0 of a gang on the cluster that this worker belongs to. Raises what `cause` gives,
    and UserError where the cluster has not the CPUs in time."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    tie = ray.remote(num_cpus=0)(Tie).options(scheduling_strategy=here).remote()
    name = f"corpusmill {work.folder}"  # an attempt's own
    kind = ray.remote(num_cpus=0)(Keeper)
    keeper = kind.options(
        scheduling_strategy=here, lifetime="detached", name=name, namespace="corpusmill"
    ).remote(tie)
    try:
        told = ray.get(keeper.train.remote(encode(work), placed))
    finally:
        ray.kill(keeper)
        ray.kill(tie)
    if isinstance(told, str):
        raise UserError(told)
    ends, summary = told
    error = cause([decode(End, end, "the answer of a rank") for end in ends], placed.ranks, stopped=False)
    if error is not None:
        raise error
    found: dict[str, Any] = summary
    return found


class Tie:
    """An actor that dies with the worker that started it, as all do that are not detached."""

    def hold(self) -> None:
        """Never returns."""
        threading.Event().wait()


class Keeper:
    """The actor that has the placement group, and the ranks in it. It ends as `tie` does."""

    def __init__(self, tie: Any) -> None:
        threading.Thread(target=_end_with, args=[tie], daemon=True).start()

    def train(self, work: Mapping[str, Any], placed: Placed) -> tuple[list[Any], Any] | str:
        """How the ranks ended, and the summary of rank 0; a message where they found no place."""
        import ray
        from ray.util.placement_group import placement_group, remove_placement_group

        bundle: dict[str, float] = {"CPU": placed.threads}
        if placed.gpus:
            bundle["GPU"] = 1
        if placed.here:
            bundle[f"node:{ray.util.get_node_ip_address()}"] = 0.001
        group = placement_group([bundle] * placed.ranks, strategy="PACK")
        try:
            if not _ready(group, placed):
                return _no_room(placed)
            return self._watch(group, work, placed)
        finally:
            remove_placement_group(group)

    def _watch(self, group: Any, work: Mapping[str, Any], placed: Placed) -> tuple[list[Any], Any]:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        # Ray shows an actor the GPU that it was given, and no other: it is the first of one rank.
        kind = ray.remote(num_cpus=placed.threads, num_gpus=int(placed.gpus), max_restarts=0)(RankActor)
        actors = [
            kind.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle)).remote()
            for bundle in range(placed.ranks)
        ]
        waiting = {}
        ends: list[End] = []
        summary = None
        try:
            places = ray.get([actor.place.remote() for actor in actors])
            url, environment = _meeting(places)
            for rank, actor in enumerate(actors):
                meeting = encode(Meeting(url, rank, placed.ranks, local=0, beside=1))
                waiting[actor.train.remote(work, meeting, placed, environment)] = rank
            ending = Ending()
            while waiting:
                for reference in ray.wait(list(waiting), timeout=POLL_SECONDS)[0]:
                    rank = waiting.pop(reference)
                    try:
                        (end,), given = ray.get(reference)
                        ends.append(decode(End, end, "the answer of a rank"))
                        summary = given if rank == 0 else summary
                    except ray.exceptions.RayError as error:
                        ends.append(End(rank, told=f"is lost: {_words(error)}"))
                if ending.due(ends, time.monotonic()):
                    for rank in waiting.values():
                        ray.kill(actors[rank])
        except ray.exceptions.RayError as error:  # before they began
            ends.append(End(0, told=f"is lost: {_words(error)}"))
        finally:
            for actor in actors:
                ray.kill(actor)
        return [encode(end) for end in ends], summary


def _end_with(tie: Any) -> None:
    import ray

    try:
        ray.get(tie.hold.remote())
    except ray.exceptions.RayError:
        os._exit(0)


class RankActor:
    """The actor of one rank: what dies with it, and tells how it ended."""

    def place(self) -> tuple[str, int]:
        """The address of this node, and a port of it that nobody uses."""
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            return ray.util.get_node_ip_address(), int(free.getsockname()[1])

    def train(
        self, work: Mapping[str, Any], meeting: Mapping[str, Any], placed: Placed, environment: dict[str, str]
    ) -> tuple[list[Any], Any]:
        """How the rank ended, as the only one of a list, and what it gave."""
        found = decode(Meeting, meeting, "the task of a rank")
        given = decode(Work, work, "the task of a rank")
        with Gang(
            given, [found], threads=placed.threads, silence=placed.silence, environment=environment
        ) as gang:
            ends = gang.watch(lambda: False)
            return [encode(end) for end in ends], gang.summary(found.rank)


def _meeting(places: Sequence[tuple[str, int]]) -> tuple[str, dict[str, str]]:
    """Where the ranks meet, and what they need to know of the network: nothing leaves a machine that all of
    them are on."""
    address, port = places[0]
    if len({node for node, _ in places}) == 1:
        return f"tcp://{_LOCAL}:{port}", LOOPBACK
    return f"tcp://{address}:{port}", {}


def _ready(group: Any, placed: Placed) -> bool:
    """Whether the bundles have their places in time."""
    there = _there(placed)
    if any(there[kind] < count for kind, count in placed.needs.items()):
        needs, has = _counted(placed.needs), _counted(there)
        told = "%d ranks of %d threads wait for %s; the cluster has %s"
        log.warning(told, placed.ranks, placed.threads, needs, has)
    return bool(group.wait(WAIT_SECONDS))


def _no_room(placed: Placed) -> str:
    return (
        f"{placed.ranks} ranks of {placed.threads} threads need {_counted(placed.needs)} at once; the Ray "
        f"cluster, which has {_counted(_there(placed))}, did not give them within {WAIT_SECONDS:g} s: lower "
        "`ranks` or `threads`, or add nodes"
    )


def _there(placed: Placed) -> dict[str, int]:
    """What the cluster has of what the ranks need."""
    import ray

    resources = ray.cluster_resources()
    return {kind: int(resources.get(kind, 0)) for kind in placed.needs}


def _counted(resources: Mapping[str, int]) -> str:
    """Ray's resources in words: `8 CPUs and 4 GPUs`."""
    return " and ".join(f"{count} {kind}s" for kind, count in resources.items())


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
