"""A source that fires by the clock."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Literal, get_args

from ksl.define.codec import Json, invalid
from ksl.define.duration import Duration, parse_duration
from ksl.define.schedule import Schedule
from ksl.define.source import Attachment, Source
from ksl.errors import BadSchedule, MalformedTrigger, NotEncodable, PayloadMisfit, UnknownZone
from ksl.records import SourceKind

Misfire = Literal["coalesce", "all", "skip"]
Overlap = Literal["allow", "skip", "buffer_one", "cancel_other"]
JITTER_MAX_S = 86_400.0
_EMPTY: Any = {}


class CronSource(Source):
    """Fires at the times of a schedule: five cron fields on the clocks of `timezone`.

    `payload` is the same at each tick. `misfire` says what becomes of ticks that nobody was there for: one run for
    the newest of them ("coalesce"), a run for each ("all"), none ("skip"). `overlap` says what becomes of a
    tick while a run of an earlier one is unfinished: it starts beside it ("allow"), or not at all ("skip"), or
    when the other has ended, and further ones not at all ("buffer_one"), or the other is cancelled ("cancel_other").
    `jitter` delays each tick by a part of that duration, always the same for the same tick.
    """

    kind: ClassVar[SourceKind] = "cron"

    def __init__(
        self,
        slug: str,
        schedule: str,
        timezone: str = "UTC",
        payload: Any = _EMPTY,
        *,
        misfire: Misfire = "coalesce",
        overlap: Overlap = "allow",
        jitter: Duration | None = None,
        name: str | None = None,
        description: str = "",
    ) -> None:
        super().__init__(slug, name=name, description=description)
        self.schedule = scheduled(schedule, timezone, where=self.where)
        self.misfire: Misfire = _chosen(misfire, get_args(Misfire), what="misfire", where=self.where)
        self.overlap: Overlap = _chosen(overlap, get_args(Overlap), what="overlap", where=self.where)
        self.jitter_ms = _jitter_ms(jitter, where=self.where)
        self._static: Any = payload

    @property
    def data(self) -> bytes:
        """The payload as JSON text. Errors: MalformedTrigger when it cannot be written as JSON."""
        try:
            return self.payload.encode(self._static, root="payload")
        except (NotEncodable, ValueError) as error:
            raise MalformedTrigger(f"{self.where}: its payload is no JSON: {error}") from None

    def details(self) -> Json:
        return {
            "schedule": self.schedule.expression,
            "timezone": self.schedule.timezone,
            "misfire": self.misfire,
            "overlap": self.overlap,
            "jitter": self.jitter_ms / 1000,
            "payload": json.loads(self.data),
        }

    def delay_ms(self, nominal_ms: int) -> int:
        """How long after its nominal time a tick fires: below `jitter`, and the same after a restart."""
        if not self.jitter_ms:
            return 0
        drawn = hashlib.sha256(f"{self.slug}\n{nominal_ms}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") % self.jitter_ms

    def prepare(self) -> None:
        """Errors: MalformedTrigger; PayloadMisfit for a payload that a workflow does not take."""
        super().prepare()
        data = self.data
        for attachment in self.attachments:
            self._check(attachment, self.payload.decode(data))

    def _check(self, attachment: Attachment, value: Any) -> None:
        from pydantic import ValidationError

        source = "its payload"
        if attachment.transform is not None:
            source = "what its transform makes of the payload"
            try:
                value = attachment.transform(value, None)
            except Exception as error:
                raise PayloadMisfit(
                    f"{self.where}: the transform for workflow {attachment.workflow.slug} fails for its payload: "
                    f"{type(error).__name__}: {error}. Each tick would fail."
                ) from error
        what = f"{self.where}: {source}, as the input of workflow {attachment.workflow.slug},"
        help = "Give a payload that fits, or a transform that makes the input of it."
        try:
            attachment.workflow.input.encode(value, root="input")
        except NotEncodable as error:
            raise PayloadMisfit(f"{what} cannot be written as JSON: {error} {help}") from None
        except ValidationError as error:
            raise PayloadMisfit(f"{invalid(error, what=what)}. {help}") from None


def scheduled(schedule: str, timezone: str, *, where: str) -> Schedule:
    """Errors: BadSchedule, UnknownZone; both name the source."""
    try:
        return Schedule(schedule, timezone)
    except (BadSchedule, UnknownZone) as error:
        raise type(error)(f"{where}: {error}") from None


def _chosen(value: Any, known: tuple[str, ...], *, what: str, where: str) -> Any:
    if value not in known:
        raise MalformedTrigger(f"{where}: {what} is one of {', '.join(known)}, not {value!r}.")
    return value


def _jitter_ms(jitter: Duration | None, *, where: str) -> int:
    if jitter is None:
        return 0
    try:
        seconds = parse_duration(jitter)
    except ValueError as error:
        raise MalformedTrigger(f"{where}: jitter: {error}.") from error
    if seconds > JITTER_MAX_S:
        raise MalformedTrigger(f"{where}: jitter={jitter!r} is longer than a day, the most there can be.")
    return round(seconds * 1000)
