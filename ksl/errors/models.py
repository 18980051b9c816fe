"""KSL8xx: models and agents."""

from __future__ import annotations

from ksl.errors.tree import AskPerson, FixCode, FixRequest, TryAgain

__all__ = [
    "AgentStepsExceeded",
    "BudgetExceeded",
    "ModelKeyMissing",
    "ModelRefused",
    "ModelUnavailable",
    "OutputMisfit",
    "SessionBusy",
    "ToolCannotWait",
    "ToolFailing",
    "UnknownAgent",
    "UnknownModel",
    "UnknownSession",
]


class UnknownModel(FixCode):
    """A model string names no vendor or provider that is known, or none was given."""

    code = "KSL800"


class ModelKeyMissing(AskPerson):
    """The vendor of a model wants a key, and none is set."""

    code = "KSL801"


class ModelRefused(FixRequest):
    """The server of a model refused the request; the same one would be refused again."""

    code = "KSL802"


class ModelUnavailable(TryAgain):
    """The server of a model did not answer, or not with what its protocol says."""

    code = "KSL803"


class OutputMisfit(FixRequest):
    """A model was asked again, and what it answered still does not fit the output's schema."""

    code = "KSL804"


class AgentStepsExceeded(FixRequest):
    """An agent took `max_steps` turns and was not done."""

    code = "KSL805"


class ToolFailing(FixCode):
    """A tool failed again and again in one prompt."""

    code = "KSL806"


class ToolCannotWait(FixCode):
    """A workflow used as a tool slept or waited for a hook."""

    code = "KSL807"


class BudgetExceeded(FixRequest):
    """A budget for models is used up. No request was made."""

    code = "KSL808"


class SessionBusy(TryAgain):
    """Another prompt of this session is not done yet."""

    code = "KSL809"


class UnknownSession(FixRequest):
    """There is no session of this id."""

    code = "KSL810"


class UnknownAgent(FixRequest):
    """The project has no agent of this slug."""

    code = "KSL811"
