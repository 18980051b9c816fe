"""KSL3xx: triggers. 300 common and webhooks, 320 cron, 330 polls, 340 verification."""

from __future__ import annotations

from ksl.errors.tree import FixCode, FixRequest

__all__ = [
    "BadSchedule",
    "DeliveryConflict",
    "DeliveryUnverified",
    "FiringFailed",
    "KeyTaken",
    "MalformedTrigger",
    "NotSubscribable",
    "PayloadMisfit",
    "PollFailed",
    "UnknownSubscription",
    "UnknownTrigger",
    "UnknownZone",
    "Unverified",
]


class UnknownTrigger(FixRequest):
    """No source has this slug, or none listens at this endpoint."""

    code = "KSL300"


class MalformedTrigger(FixCode):
    """A source or an attachment was given something that can never fire."""

    code = "KSL301"


class DeliveryUnverified(FixRequest):
    """A delivery could not be verified. Nothing was started."""

    code = "KSL303"


class DeliveryConflict(FixRequest):
    """A delivery's id was used before with another body."""

    code = "KSL304"


class FiringFailed(FixCode):
    """A filter or transform raised, or what came of it fits no workflow, so no run was started."""

    code = "KSL305"


class KeyTaken(FixRequest):
    """This item, tick or delivery has fired already. Nothing was stored."""

    code = "KSL306"

    def __init__(self, message: str, *, source: str = "", key: str = "") -> None:
        super().__init__(message)
        self.source = source
        self.key = key


class UnknownSubscription(FixRequest):
    """No subscription has this id."""

    code = "KSL307"


class NotSubscribable(FixRequest):
    """The workflow does not take subscriptions, or the subscriber's name cannot be used."""

    code = "KSL308"


class BadSchedule(FixCode):
    """A schedule is not five cron fields, or never comes."""

    code = "KSL320"


class UnknownZone(FixCode):
    """A time zone is not in the tz database."""

    code = "KSL321"


class PayloadMisfit(FixCode):
    """The payload of a cron source is no input of a workflow that it is attached to."""

    code = "KSL322"


class PollFailed(FixCode):
    """A poll raised, took too long, or gave something that cannot be used. Its state stays as it was.

    `type` is the name of the exception's class, `told` its message with the place it was raised at.
    """

    code = "KSL330"

    def __init__(self, message: str, *, type: str = "PollFailed", told: str = "") -> None:
        super().__init__(message)
        self.type = type
        self.told = told or message


class Unverified(FixRequest):
    """A webhook delivery does not prove who sent it. The text is the reason, for whoever runs the server."""

    code = "KSL340"
