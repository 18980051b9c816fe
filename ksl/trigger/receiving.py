"""Deliveries to webhook sources: verified, understood, fired once.

Sources that share an endpoint each look at a delivery for themselves. What they all say together is the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, cast

import msgspec

from ksl.define.delivery import Delivery
from ksl.define.webhook import WebhookSource
from ksl.errors import (
    BadJson,
    BadMediaType,
    BadRequest,
    CredentialDamaged,
    DeliveryConflict,
    DeliveryUnverified,
    FiringFailed,
    InvalidCredential,
    InvalidInput,
    KeyUnusable,
    KslError,
    MissingCredential,
    UnknownTrigger,
    Unverified,
    WrongKey,
)
from ksl.records import FiredKey, FiringRow
from ksl.trigger.firing import Fired, Item, Triggers, decoded
from ksl.trigger.refusals import Refusals
from ksl.trigger.verify.request import SignedRequest, Verified

KEPT_MS = 7 * 86_400_000  # how long a delivery's id is known
REASON_MAX = 500
# What keeps the secrets of a scheme from being looked up. It is told to the owner; a stranger has no business with it.
_UNUSABLE = (MissingCredential, InvalidCredential, CredentialDamaged, WrongKey, KeyUnusable)

_decode_ids = msgspec.json.Decoder(list[str]).decode

Secrets = Callable[[Any], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A delivery as the server got it. `payload` is the body as JSON text; an error where it cannot be read, which
    only a source that is verified gets to say. `is_form`: it came as a form."""

    headers: Sequence[tuple[str, str]]
    query: Sequence[tuple[str, str]]
    body: bytes
    payload: bytes | KslError
    is_form: bool = False


class Answer(NamedTuple):
    """`skipped`: understood, and no run was wanted. `challenge` is what a sender that asks whether the address is the
    receiver's wants to read."""

    run_ids: list[str]
    skipped: bool
    challenge: str | None = None


class _Heard(NamedTuple):
    """What one source makes of a delivery."""

    outcome: Literal["runs", "skipped", "unverified", "misfit", "refused"]
    run_ids: Sequence[str] = ()
    error: KslError | None = None
    challenge: str | None = None


class Receiving:
    def __init__(self, triggers: Triggers, *, secrets: Secrets) -> None:
        """`secrets` gives those of a source's scheme. Errors of it: MissingCredential."""
        self._triggers = triggers
        self._secrets = secrets
        self._refusals = Refusals(triggers.store)
        self._storing: dict[
            tuple[str, str], asyncio.Future[None]
        ] = {}  # delivery ids on their way to the log
        by_endpoint: dict[str, list[WebhookSource[Any]]] = {}
        for source in triggers.project.triggers.values():
            if isinstance(source, WebhookSource):
                webhook = cast("WebhookSource[Any]", source)
                by_endpoint.setdefault(webhook.endpoint, []).append(webhook)
        self._sources = by_endpoint

    async def receive(self, endpoint: str, arrived: Arrived) -> Answer:
        """Returns once every run is stored.

        Errors:  UnknownTrigger; DeliveryUnverified where no source could verify it; BadMediaType, BadJson, BadRequest,
                 InvalidInput where it fits none; DeliveryConflict; FiringFailed where it fits, and starting failed;
                 ShuttingDown, StoreFull, StoreBusy, StoreFailed.
        """
        sources = self._sources.get(endpoint)
        if sources is None:
            raise UnknownTrigger("No source listens at this endpoint. Nothing was started.")
        shared = len(sources) > 1
        # At once, so that all of them share a commit.
        heard = await asyncio.gather(
            *(self._hear(source, arrived, shared=shared) for source in sources), return_exceptions=True
        )
        for each in heard:
            if isinstance(each, BaseException):
                raise each
        return _together(cast("list[_Heard]", heard), shared=shared)

    async def _hear(self, source: WebhookSource[Any], arrived: Arrived, *, shared: bool) -> _Heard:
        now_ms = self._triggers.clock.now_ms()
        try:
            verified = await self._verified(source, arrived, now_ms)
        except (Unverified, *_UNUSABLE) as error:
            self._refuse(source, now_ms, str(error))
            return _Heard("unverified")
        if verified.challenge is not None:
            return _Heard("skipped", challenge=verified.challenge)
        try:
            value = _value(source, arrived)
        except (BadJson, BadMediaType, BadRequest, InvalidInput) as error:
            if not shared:
                self._refuse(source, now_ms, f"{error.code} {error}", verified.delivery_id)
            return _Heard("misfit", error=error)
        assert isinstance(arrived.payload, bytes)
        item = Item(arrived.payload, value=value)
        delivery = Delivery(
            headers={name.lower(): text for name, text in arrived.headers},
            query=dict(arrived.query),
            body=arrived.body,
            received_at=datetime.fromtimestamp(now_ms / 1000, UTC),
            delivery_id=verified.delivery_id,
        )
        if verified.delivery_id is None:
            return _heard(await self._fire(source, item, delivery))
        return await self._once(
            source,
            item,
            delivery,
            verified.delivery_id,
            arrived.body if verified.content is None else verified.content,
            now_ms,
        )

    async def _verified(self, source: WebhookSource[Any], arrived: Arrived, now_ms: int) -> Verified:
        """Errors: Unverified, and those of `_UNUSABLE`."""
        if source.verify is None:
            return Verified()
        request = SignedRequest.of(arrived.headers, arrived.query, body=arrived.body, now_ms=now_ms)
        return source.verify.verify(request, await self._secrets(source.verify))

    async def _once(
        self,
        source: WebhookSource[Any],
        item: Item,
        delivery: Delivery,
        delivery_id: str,
        content: bytes,
        now_ms: int,
    ) -> _Heard:
        digest = hashlib.sha256(content).digest()
        storing = (source.slug, delivery_id)
        # Taken before the look-up: of one delivery twenty times at once, one fires and the others then find it.
        while (other := self._storing.get(storing)) is not None:
            await asyncio.shield(other)
        done = self._storing[storing] = asyncio.get_running_loop().create_future()
        try:
            known = (await self._triggers.known(source.slug, [delivery_id])).get(delivery_id)
            if known is not None:
                return self._repeated(source, known, digest, now_ms)
            key = FiredKey(source.slug, delivery_id, expires_ms=now_ms + KEPT_MS, digest=digest)
            return _heard(await self._fire(source, item._replace(keys=(key,)), delivery))
        finally:
            del self._storing[storing]
            done.set_result(None)

    def _repeated(self, source: WebhookSource[Any], known: FiredKey, digest: bytes, now_ms: int) -> _Heard:
        if known.digest != digest:
            reason = f"delivery {known.key} of source {source.slug} came before with another body"
            self._refuse(source, now_ms, reason, known.key)
            return _Heard("refused", error=DeliveryConflict(f"{reason}. Nothing was started."))
        run_ids = _decode_ids(known.answer or b"[]")
        return _Heard("runs", run_ids) if run_ids else _Heard("skipped")

    async def _fire(self, source: WebhookSource[Any], item: Item, delivery: Delivery) -> Fired:
        if self._triggers.standing.is_enabled(source.slug):
            return await self._triggers.fire(source, [item], delivery=delivery)
        # Recorded with its payload, so that it can be fired by hand. Its id stays free: it may come again.
        row = await self._triggers.note(source, "skipped", "the source is disabled", payload=item.data)
        return Fired(row, [])

    def _refuse(
        self, source: WebhookSource[Any], now_ms: int, reason: str, delivery_id: str | None = None
    ) -> None:
        self._refusals.add(
            FiringRow(
                firing_id=self._triggers.new_id(),
                source=source.slug,
                kind=source.kind,
                at_ms=now_ms,
                nominal_ms=now_ms,
                verdict="rejected",
                reason=self._triggers.kept(reason, limit=REASON_MAX),
                delivery_id=delivery_id,
            )
        )


def _value(source: WebhookSource[Any], arrived: Arrived) -> Any:
    """Errors: BadMediaType, BadJson, BadRequest, InvalidInput."""
    if arrived.is_form and not source.form:
        raise BadMediaType(
            "This endpoint takes application/json, and no forms. Nothing was started. A source takes forms where it "
            "says form=True."
        )
    if isinstance(arrived.payload, KslError):
        raise arrived.payload
    return decoded(source, arrived.payload)


def _heard(fired: Fired) -> _Heard:
    if fired.runs:
        return _Heard("runs", [run.run_id for run in fired.runs])
    if fired.row.verdict == "failed":
        # Why is not for whoever posts: the firing says it.
        error = FiringFailed(
            "The delivery was understood, but no run could be started. Nothing was started; firing "
            f"{fired.row.firing_id} says why."
        )
        return _Heard("refused", error=error)
    return _Heard("skipped")


def _together(heard: list[_Heard], *, shared: bool) -> Answer:
    run_ids = [run_id for each in heard for run_id in each.run_ids]
    if run_ids:
        return Answer(run_ids, skipped=False)
    for each in heard:
        if each.outcome == "refused" and each.error is not None:
            raise each.error
    understood = [each for each in heard if each.outcome != "unverified"]
    if not understood:
        raise DeliveryUnverified("The delivery could not be verified. Nothing was started.")
    for each in understood:
        # A body that nobody can read is an error also where sources share the endpoint.
        if each.error is not None and (
            not shared or isinstance(each.error, BadMediaType | BadJson | BadRequest)
        ):
            raise each.error
    return Answer(
        [], skipped=True, challenge=next((each.challenge for each in heard if each.challenge), None)
    )
