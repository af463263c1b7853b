"""Replicas into devices of equal room, so that the greatest load is small and no device has an expert twice.

Largest first into the least loaded device (Graham 1969), then exchanges between the most loaded device and
others while they help. Without the exchanges the greatest load is at most 4/3 of the least possible where
room does not bind; they find the least one in most small cases.
"""

from __future__ import annotations

from collections.abc import Sequence

Items = Sequence[tuple[int, float]]  # experts with the load of one replica each
_GAIN = 1e-12  # share of the greatest load that an exchange must gain: rounding alone is no gain


def pack(items: Items, devices: int, room: int) -> list[list[int]]:
    """Experts of each device, sorted: every item once, at most `room` on a device, no expert twice.

    Replicas of an expert have the same load. Raises ValueError where they do not fit.
    """
    load_of = dict(items)
    counts = {expert: sum(other == expert for other, _ in items) for expert in load_of}
    if len(items) > devices * room or max(counts.values(), default=0) > devices:
        raise ValueError(
            f"{len(items)} replicas, up to {max(counts.values(), default=0)} of an expert, do not fit into "
            f"{devices} devices with room for {room} each"
        )
    placed: list[set[int]] = [set() for _ in range(devices)]
    loads = [0.0] * devices
    for expert, load in sorted(items, key=lambda item: (-item[1], item[0])):
        free = [d for d in range(devices) if len(placed[d]) < room and expert not in placed[d]]
        if free:
            chosen = min(free, key=lambda d: (loads[d], d))
        else:
            chosen = _make_room(expert, placed, loads, load_of, room)
        placed[chosen].add(expert)
        loads[chosen] += load
    while _improve(placed, loads, load_of, room):
        pass
    return [sorted(experts) for experts in placed]


def _make_room(
    expert: int, placed: list[set[int]], loads: list[float], load_of: dict[int, float], room: int
) -> int:
    """A device without `expert` that has room, after one replica moved off it. Every device with room has the
    expert, so one without it is full and has an expert that a device with room lacks."""
    roomy = min((d for d, there in enumerate(placed) if len(there) < room), key=lambda d: (loads[d], d))
    full = min((d for d, there in enumerate(placed) if expert not in there), key=lambda d: (loads[d], d))
    moved = min(placed[full] - placed[roomy], key=lambda other: (load_of[other], other))
    placed[full].remove(moved)
    placed[roomy].add(moved)
    loads[full] -= load_of[moved]
    loads[roomy] += load_of[moved]
    return full


def _improve(placed: list[set[int]], loads: list[float], load_of: dict[int, float], room: int) -> bool:
    """Move one replica off the most loaded device, or exchange it for one of another device, whichever leaves
    the greater of the two loads smallest; False where nothing helps."""
    top = max(range(len(loads)), key=lambda d: (loads[d], -d))
    best = loads[top] * (1 - _GAIN)
    found: tuple[int, int, int | None] | None = None
    for other in range(len(loads)):
        if other == top:
            continue
        coming: list[int | None] = [e for e in sorted(placed[other]) if e not in placed[top]]
        if len(placed[other]) < room:
            coming.append(None)
        for leaving in sorted(placed[top]):
            if leaving in placed[other]:
                continue
            for arriving in coming:
                shift = load_of[leaving] - (0.0 if arriving is None else load_of[arriving])
                greater = max(loads[top] - shift, loads[other] + shift)
                if greater < best:
                    best, found = greater, (other, leaving, arriving)
    if found is None:
        return False
    other, leaving, back = found
    placed[top].remove(leaving)
    placed[other].add(leaving)
    if back is not None:
        placed[other].remove(back)
        placed[top].add(back)
    for device in (top, other):
        loads[device] = sum(load_of[expert] for expert in sorted(placed[device]))
    return True
