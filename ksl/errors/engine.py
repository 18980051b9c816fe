"""KSL4xx: the engine and replay."""

from __future__ import annotations

from typing import Any

from ksl.errors.tree import AskPerson, FixCode, FixRequest, TryAgain

__all__ = [
    "ActionIsLeaf",
    "HookAnswered",
    "HookClosed",
    "IdempotencyConflict",
    "InputDrift",
    "InternalFault",
    "InvalidInput",
    "InvalidOutput",
    "NotEncodable",
    "OutsideRun",
    "PayloadTooLarge",
    "PoisonRun",
    "QueueFull",
    "RealIoInBody",
    "ReplayMismatch",
    "RunBetweenAttempts",
    "RunStuck",
    "RunTimedOut",
    "RunawayBody",
    "TooManySteps",
    "UnknownHook",
    "UnknownRun",
    "UnknownSite",
    "UnknownWorkflow",
    "WorkflowGone",
    "WrongState",
]


class UnknownWorkflow(FixRequest):
    """No workflow has this slug."""

    code = "KSL400"


class ReplayMismatch(AskPerson):
    """The code asked for something other than what this run's history holds.

    The run is held, not failed: its history is intact, and the old code lets it go on.
    Raised only while replaying. `rule` names the likeliest edit: "step-removed", "step-added", "moved",
    "other-callee", "other-output", "ended-early". `line` is where the code stood, file:line.
    """

    code = "KSL401"

    def __init__(self, message: str, *, rule: str = "", line: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.line = line


class InputDrift(AskPerson):
    """A recorded step was asked for again with another input."""

    code = "KSL402"

    def __init__(self, message: str, *, rule: str = "drift", line: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.line = line


class UnknownSite(FixCode):
    """A step was called from a place that the workflow's source does not show."""

    code = "KSL403"


class ActionIsLeaf(FixCode):
    """An action called another step; actions are leaves."""

    code = "KSL404"


class RealIoInBody(FixCode):
    """A workflow body did real I/O, used a thread, or waited for another event loop."""

    code = "KSL405"


class NotEncodable(FixCode):
    """A value does not survive a round trip through JSON."""

    code = "KSL406"


class InvalidInput(FixRequest):
    """An input does not fit its schema. `errors` lists `{"loc": [...], "msg": "..."}`."""

    code = "KSL407"

    def __init__(self, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class InvalidOutput(FixCode):
    """A workflow returned something that does not fit its output annotation."""

    code = "KSL408"


class WrongState(FixRequest):
    """The run's state does not allow what was asked."""

    code = "KSL409"


class RunStuck(FixCode):
    """The body waits for something that can never happen."""

    code = "KSL410"


class RunawayBody(FixCode):
    """The body went through too many loop turns without waiting for anything recorded."""

    code = "KSL411"


class TooManySteps(FixCode):
    """The run recorded more steps than `limits.steps` allows."""

    code = "KSL412"


class PayloadTooLarge(FixRequest):
    """A value is larger than `limits.payload`."""

    code = "KSL413"


class UnknownRun(FixRequest):
    """No run has this id."""

    code = "KSL414"


class PoisonRun(AskPerson):
    """The process died five times while this run was being advanced, with no progress between."""

    code = "KSL415"


class OutsideRun(FixCode):
    """Something that only exists inside a run was used outside one."""

    code = "KSL416"


class WorkflowGone(AskPerson):
    """A run's workflow is no longer in the project."""

    code = "KSL417"
    rule = "workflow-removed"


class RunTimedOut(FixCode):
    """The run took longer than its workflow's `timeout`."""

    code = "KSL418"


class InternalFault(AskPerson):
    """ksl itself went wrong while advancing a run. The run is held; its history is intact."""

    code = "KSL419"


class UnknownHook(FixRequest):
    """No hook has this token, or the run has no such hook."""

    code = "KSL420"


class HookAnswered(FixRequest):
    """The hook was answered before. One answer wins; this one changed nothing."""

    code = "KSL421"


class HookClosed(FixRequest):
    """The hook expired, or its run ended."""

    code = "KSL422"


class RunBetweenAttempts(TryAgain):
    """An earlier attempt of the run made the hook, and the code at hand no longer does; it may again."""

    code = "KSL424"


class IdempotencyConflict(FixRequest):
    """The idempotency key was used before with another input."""

    code = "KSL430"


class QueueFull(TryAgain):
    """More runs wait in line than `queue.backlog` allows. No run was created."""

    code = "KSL431"
