"""A run on its canvas: the state of each node, folded from the run's events. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ksl.build.canvas.blocks import Canvas, walk
from ksl.build.canvas.lights import Light, NodeState
from ksl.records import Event
from ksl.records.under_way import UnderWay
from ksl.views.occurrences import Occurrence, Occurrences
from ksl.views.passed import ids_of, passed, shows_it_handled, standings

_OPEN: tuple[NodeState, ...] = ("waiting", "running", "retrying")  # by how pressing they are
_NOTHING: Mapping[str, UnderWay] = {}


def lights(
    events: Iterable[Event],
    canvas: Canvas,
    *,
    now_ms: int,
    finished: bool,
    under_way: Mapping[str, UnderWay] = _NOTHING,
    inside: str = "",
) -> dict[str, Light]:
    """By node id; a node that is absent is pending.

    `under_way`: steps in flight, by id, as far as the caller knows. `finished`: the run has ended. `inside`: the id of
    the node, in the run's own canvas, whose insides `canvas` is; below others "enrich-lead/score-lead".
    """
    return Fold(events, now_ms=now_ms, finished=finished, under_way=under_way).lights(canvas, inside=inside)


class Fold:
    """A run's events, read once for all canvases that they light."""

    def __init__(
        self,
        events: Iterable[Event],
        *,
        now_ms: int,
        finished: bool,
        under_way: Mapping[str, UnderWay] = _NOTHING,
    ) -> None:
        self._now_ms = now_ms
        self._finished = finished
        self._under_way = under_way
        self._read = Occurrences(events)
        known = self._read.by_id
        for id in under_way:
            if id not in known:
                known[id] = Occurrence(id, "step")
        # Sub-workflows that have begun and not ended have no event of their own.
        for id in list(known):
            while (id := id.rpartition("/")[0]) and id not in known:
                known[id] = Occurrence(id, "step")
        self._insides: dict[str, list[Occurrence]] = {}
        for each in known.values():
            outer = each.scope
            while outer:
                self._insides.setdefault(outer, []).append(each)
                outer = outer.rpartition("/")[0]

    def lights(self, canvas: Canvas, *, inside: str = "") -> dict[str, Light]:
        ids = {id for block in walk(canvas.blocks) for id in ids_of(block)}
        found: dict[str, list[Occurrence]] = {}
        reached: set[str] = set()
        bodies: set[str] = set()
        for each in self._read.by_id.values():
            if node_path(each.scope) != inside or (node := node_of(each, ids)) is None:
                continue
            bodies.add(each.scope)
            found.setdefault(node, []).append(self._as_it_is(each))
            # A hook may be made, and answered, long before it is awaited.
            if each.kind != "hook" and any(map(self._is_of_now, (each, *self._insides.get(each.id, ())))):
                reached.add(node)
        self._tell_handled(canvas, found)
        lit = {node: self._light(each) for node, each in found.items()}
        over = self._finished or (inside != "" and self._all_over(inside))
        if over:
            gone = ids - set(found)
        else:
            # A body that runs several times may come there the next time.
            gone = (
                passed(canvas.blocks, reached) - set(found) if len(bodies) == 1 and not inside else set[str]()
            )
        return lit | dict.fromkeys(gone, _SKIPPED)

    def elsewhere(self, canvas: Canvas) -> list[str]:
        """Steps of the run's own body that no node of the canvas stands for, in the order of their events."""
        ids = {id for block in walk(canvas.blocks) for id in ids_of(block)}
        known = self._read.by_id.values()
        return [each.id for each in known if not each.scope and node_of(each, ids) is None]

    def _as_it_is(self, each: Occurrence) -> Occurrence:
        """With what its insides, the runtime and the end of the run say of it."""
        each = replace(each)
        if (in_flight := self._under_way.get(each.id)) is not None:
            each.after = max(each.after, in_flight.after)
        if each.started_at_ms is not None and each.id in self._insides:
            each.started_at_ms = _earliest((each, *self._insides[each.id]))  # only its end is recorded
        may_be = each.state in _NOT_RUNNING and not (
            each.state == "cancelled" and self._read.of_attempt(each)
        )
        if may_be and not self._shows_insides(each) and each.id in self._under_way:
            now = self._under_way[each.id]
            each.state = "waiting" if now.how == "asleep" else "running"
            each.started_at_ms, each.finished_at_ms = each.started_at_ms or now.started_at_ms, None
            if now.how == "running":
                each.tries = max(each.tries, now.attempt)
        if not each.seq and each.id not in self._under_way and self._body_has_ended(each.scope):
            each.state = "cancelled"
        if self._finished and (each.state in _OPEN or each.state == "pending"):
            each.state, each.due_ms = each.before or "cancelled", None
        return each

    def _shows_insides(self, each: Occurrence) -> bool:
        """A sub-workflow that has begun and not ended is known by its insides alone, and shows the worst of them."""
        insides = self._insides.get(each.id, ())
        now = [one for one in insides if self._is_of_now(one)]
        if each.id not in self._under_way and all(
            one.seq <= each.seq and one.id not in self._under_way for one in now
        ):
            return False
        # A hook stays open through a retry of the run, and is not made again.
        now += [one for one in insides if one.kind == "hook" and not self._is_of_now(one)]
        if not now:
            return False
        each.started_at_ms, each.finished_at_ms = _earliest(now), None
        each.seq = max(one.seq for one in now)
        within = [self._as_it_is(one) for one in now if one.id not in self._insides]
        pressing = max((one for one in within if one.state in _OPEN), key=_urgency, default=None)
        each.state = "running"
        if pressing is not None:
            each.state, each.due_ms, each.kind = pressing.state, pressing.due_ms, pressing.kind
            each.tries, each.failure = pressing.tries, pressing.failure
        return True

    def _is_of_now(self, each: Occurrence) -> bool:
        return self._read.of_attempt(each) or each.id in self._under_way

    def _body_has_ended(self, scope: str) -> bool:
        outer = self._read.by_id.get(scope)
        return outer is not None and outer.state in _SETTLED and self._read.of_attempt(outer)

    def _all_over(self, inside: str) -> bool:
        """Whether every body that ran for this node has ended."""
        outers = [each for id, each in self._read.by_id.items() if node_path(id) == inside]
        return bool(outers) and all(self._as_it_is(each).state in _SETTLED for each in outers)

    def _tell_handled(self, canvas: Canvas, found: Mapping[str, Sequence[Occurrence]]) -> None:
        """While the body goes on: a failure is handled when the task that met it asked for more behind it, recorded
        or in flight."""
        unsure = [
            (node, each)
            for node, all in found.items()
            for each in all
            if each.state == "failed" and not each.settled
        ]
        if not unsure:
            return
        where = dict(standings(canvas.blocks))
        newest: dict[
            tuple[str, str], dict[str, int]
        ] = {}  # by task: what it had seen when it asked at a node
        for node, all in found.items():
            for each in all:
                if each.kind != "hook":
                    asked = newest.setdefault((each.scope, each.site[1]), {})
                    asked[node] = max(asked.get(node, 0), each.after)
        for node, each in unsure:
            asked = newest.get((each.scope, each.site[1]), {})
            behind = [later for later, after in asked.items() if after >= each.seq]
            if any(shows_it_handled(where[node], where[later]) for later in behind):
                each.state = "caught"

    def _light(self, occurrences: Sequence[Occurrence]) -> Light:
        counts: dict[NodeState, int] = dict(Counter(each.state for each in occurrences))
        shown = max(occurrences, key=lambda each: (_rank(each.state), each.seq))
        return Light(
            state=shown.state,
            counts=counts,
            tries=shown.tries,
            note=self._note(shown),
            started_at_ms=shown.started_at_ms,
            finished_at_ms=shown.finished_at_ms,
        )

    def _note(self, each: Occurrence) -> str:
        left = "" if each.due_ms is None else left_of(each.due_ms - self._now_ms)
        match each.state:
            case "failed" | "caught":
                return each.failure
            case "retrying" if each.before is not None:
                return f"again with the run in {left}" if left else "again with the run"
            case "retrying":
                return f"try {each.tries + 1} in {left}" if left else f"try {each.tries + 1} is due"
            case "waiting":
                what = "sleep" if each.kind == "sleep" else "hook"
                if each.due_ms is None:
                    return what
                return f"{what}, {left} left" if left else f"{what}, due"
            case "running" if (now := self._under_way.get(each.id)) is not None and now.how == "in line":
                return "in line"
            case "running" if each.tries > 1:
                return f"try {each.tries}"
            case _:
                return ""


_SKIPPED = Light("skipped", {}, 0, "", None, None)
# What a step may be that is asked for all the same: it waits for another attempt, of its own or of the run.
_NOT_RUNNING: frozenset[NodeState] = frozenset({"pending", "retrying", "cancelled"})
_SETTLED: frozenset[NodeState] = frozenset({"done", "failed", "caught", "cancelled"})


def has_ended(events: Sequence[Event]) -> bool:
    """Whether the run that they are all of has come to its end."""
    return bool(events) and events[-1].type in ("run_completed", "run_failed", "run_cancelled")


def node_of(occurrence: Occurrence, ids: Iterable[str] | set[str]) -> str | None:
    """The node that stands for the place where the step was called, if the canvas has one."""
    key, _ = occurrence.site
    if key in ids:
        return key
    _, mark, ordinal = key.rpartition("~d")
    dynamic = f"*~d{ordinal}"
    return dynamic if mark and dynamic in ids else None


def node_path(scope: str) -> str:
    """A step id without what tells its occurrences apart: "enrich-lead[1]#0/score#2" as "enrich-lead/score"."""
    return "/".join(part.rpartition("#")[0].partition("[")[0] for part in scope.split("/")) if scope else ""


def left_of(ms: int) -> str:
    """ "4s", "46h", "3d": for people, never more than is left by a whole unit. Empty for a moment that is past."""
    s = -(-ms // 1000)
    if s <= 0:
        return ""
    for most, unit, name in ((120, 1, "s"), (7_200, 60, "m"), (72 * 3_600, 3_600, "h")):
        if s < most:
            return f"{s // unit}{name}"
    return f"{s // 86_400}d"


def _rank(state: NodeState) -> int:
    """What a node shows of several occurrences: the most pressing that is open, then a failure, then the newest."""
    if state in _OPEN:
        return 3 + _OPEN.index(state)
    return {"failed": 2, "pending": 1}.get(state, 0)


def _earliest(occurrences: Iterable[Occurrence]) -> int | None:
    return min((each.started_at_ms for each in occurrences if each.started_at_ms is not None), default=None)


def _urgency(each: Occurrence) -> tuple[int, int]:
    return _OPEN.index(each.state), each.seq
