"""Spans of ended runs, sent to whoever speaks OpenTelemetry.

They come from the events, never from the doing, so a replay sends nothing, and their ids are derived from the run's and
the step's: what is sent again after a crash is the same span, not another one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksl import __version__
from ksl.errors import BadSetting, KslError
from ksl.log.store import Store
from ksl.views.spans import spans_json

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from ksl.records import Event, RunRow

FEED_MAX = 1_000  # events looked at before what was found is sent
EVERY_S = 1.0  # runs that end within it are sent together
RETRY_S = (5.0, 60.0)  # pauses while the receiver does not answer: the first, and the longest
_ENDINGS = frozenset({"run_completed", "run_failed", "run_cancelled"})
_log = logging.getLogger("ksl.telemetry")


class Telemetry:
    """Sends what has ended since `place`, a file beside the database that says up to where it was sent."""

    def __init__(self, store: Store, *, endpoint: str, service: str, place: Path) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise BadSetting(
                "telemetry.otlp_endpoint is set, but the libraries that it needs are not installed. Install them with "
                "`pip install 'ksl[otel]'`, or take the setting out. Nothing was started."
            ) from None
        self._store = store
        self._service = service
        self._place = place
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=10)

    async def run(self) -> None:
        woken = asyncio.Event()
        unsubscribe = self._store.wake_on_commit(woken.set)
        pause_s = RETRY_S[0]
        try:
            while True:
                woken.clear()
                try:
                    while await self.once():
                        pass
                    pause_s = RETRY_S[0]
                except (OSError, KslError) as error:
                    _log.warning("traces were not sent, and will be later: %s", error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, RETRY_S[1])
                    continue
                await woken.wait()
                await asyncio.sleep(EVERY_S)
        finally:
            unsubscribe()

    async def once(self) -> bool:
        """Sends one piece; True while there is more. Errors: OSError where the receiver did not take it."""
        since = self._sent()
        if since is None:
            # What ended before it was asked for is not sent.
            self._note(await self._store.feed_end())
            return False
        feed = await self._store.feed(since, limit=FEED_MAX)
        if not feed:
            return False
        spans: list[ReadableSpan] = []
        for run_id in dict.fromkeys(row.event.run_id for row in feed if row.event.type in _ENDINGS):
            row = await self._store.run(run_id)
            if row is not None:  # else retention was faster
                spans += spans_of(row, await self._store.events(run_id), service=self._service)
        if spans:
            await asyncio.to_thread(self._send, spans)
        self._note(feed[-1].rowid)
        return len(feed) == FEED_MAX

    def _send(self, spans: Sequence[ReadableSpan]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise OSError("the receiver of traces refused them, or did not answer in time")

    def _sent(self) -> int | None:
        try:
            return int(self._place.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _note(self, rowid: int) -> None:
        draft = self._place.with_name(f"{self._place.name}.new")
        draft.write_text(str(rowid))
        draft.replace(self._place)


def spans_of(row: RunRow, events: Sequence[Event], *, service: str) -> list[ReadableSpan]:
    """The run's span, its steps', and those of the attempts of steps that were tried more than once."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    trace_id = _number(row.run_id, 16)
    resource = Resource({"service.name": service})
    scope = InstrumentationScope("ksl", __version__)

    def context(id: str) -> SpanContext:
        return SpanContext(trace_id, _number(f"{row.run_id}/{id}", 8), False, TraceFlags(TraceFlags.SAMPLED))

    found: list[ReadableSpan] = []
    for span in spans_json(row, events):
        started, finished = _ns(span["started_at"]), _ns(span["finished_at"])
        if started is None or finished is None:
            continue  # a step that the run's end cut off before it was recorded
        failed = span["status"] == "failed"
        found.append(
            ReadableSpan(
                name=span["name"],
                context=context(span["id"]),
                parent=None if span["parent"] is None else context(span["parent"]),
                resource=resource,
                instrumentation_scope=scope,
                attributes={
                    "ksl.run_id": row.run_id,
                    "ksl.workflow": row.workflow,
                    "ksl.kind": span["kind"],
                    "ksl.status": span["status"],
                    "ksl.trigger": row.trigger,
                }
                | ({"ksl.step": span["id"]} if span["id"] else {}),
                kind=SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                start_time=started,
                end_time=finished,
            )
        )
    return found


def _number(text: str, size: int) -> int:
    """Never 0, which means that there is none."""
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest()) or 1


def _ns(moment: Any) -> int | None:
    return None if moment is None else round(dt.datetime.fromisoformat(moment).timestamp() * 1000) * 1_000_000
