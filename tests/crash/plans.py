"""Which trials there are. A plan names everything that a trial needs, so that it can be made again."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec

from tests.crash.dying import POINTS
from tests.crash.workload import RUNS

KILLS_MAX = 4  # a fifth death without progress would hold a run, as it should
K_MAX = 400  # no workload has so many points; a sweep that gets there never ends

Durability = Literal["full", "process"]


class Sweep(msgspec.Struct, frozen=True, tag=True):
    """Every k of one kind of point, one trial each, until the workload ends before the k-th."""

    workflow: str
    point: str  # commit, stored, effect; or a fault as strace says it, with {k} in it
    durability: Durability = "full"
    then: tuple[str, ...] = ()  # where the lives after the first end
    step: int = 1  # every how many k
    most: int = K_MAX


class Kills(msgspec.Struct, frozen=True, tag=True):
    workflow: str
    points: tuple[str, ...]
    durability: Durability = "full"


class Programs(msgspec.Struct, frozen=True, tag=True):
    """Random programs, each run undisturbed and then under kills."""

    seeds: tuple[int, ...]
    steady: bool
    trials: int  # of each


class Serving(msgspec.Struct, frozen=True, tag=True):
    """The whole workload at once through `ksl serve` and HTTP."""

    points: tuple[str, ...]
    durability: Durability = "full"


Plan = Sweep | Kills | Programs | Serving


def sweeps() -> Iterator[Plan]:
    """Every k of every workload, once with what follows left alone and once with another death in the next life."""
    for workflow in RUNS:
        for point in POINTS:
            yield Sweep(workflow, point)
            yield Sweep(workflow, point, durability="process")
            yield Sweep(workflow, point, then=("commit:2",))


def few_sweeps(rng: Random) -> Iterator[Plan]:
    for workflow in RUNS:
        for point in POINTS:
            yield Sweep(workflow, point, durability=rng.choice(("full", "process")), step=4)


def random_kills(rng: Random, count: int) -> Iterator[Plan]:
    for _ in range(count):
        yield Kills(rng.choice(list(RUNS)), random_points(rng, 5), rng.choice(("full", "process")))


def random_programs(rng: Random, count: int, *, trials: int) -> Iterator[Plan]:
    """`count` programs, a quarter of them with races."""
    for first in range(0, count, 10):
        seeds = tuple(rng.randint(1, 10**6) for _ in range(min(10, count - first)))
        yield Programs(seeds, steady=first // 10 % 4 != 3, trials=trials)


def servings(rng: Random, count: int, *, sweep: int) -> Iterator[Plan]:
    for number in range(1, sweep + 1):
        for point in POINTS:
            yield Serving((f"{point}:{number}",))
    for _ in range(count):
        yield Serving(random_points(rng, 25), rng.choice(("full", "process")))


def faults() -> Iterator[Plan]:
    """For machines with strace."""
    for workflow in RUNS:
        yield Sweep(workflow, "pwrite64:signal=KILL:when={k}")
        yield Sweep(workflow, "pwrite64:signal=KILL:when={k}", durability="process")
        yield Sweep(workflow, "fsync,fdatasync:error=EIO:when={k}")
        yield Sweep(workflow, "fsync,fdatasync:error=EIO:when={k}+")


def few_faults() -> Iterator[Plan]:
    yield Sweep("chain", "pwrite64:signal=KILL:when={k}", step=12)
    yield Sweep("asker", "fsync,fdatasync:error=EIO:when={k}")
    yield Sweep("sleeper", "fsync,fdatasync:error=EIO:when={k}+", step=4)


def random_points(rng: Random, most: int) -> tuple[str, ...]:
    lives = rng.randint(1, KILLS_MAX)
    return tuple(f"{rng.choice(POINTS)}:{rng.randint(1, most)}" for _ in range(lives))
