"""What all schemes have in common: their credentials, their patience, and how bytes are compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, cast

from ksl.define.duration import format_duration, parse_duration
from ksl.errors import MalformedTrigger, Unverified
from ksl.trigger.verify.secret_fields import check_fields

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ksl.trigger.verify.request import SignedRequest, Verified

Duration = str | float | timedelta

TOLERANCE = "5m"
# Delivery ids are remembered for as long: a delivery that is older could be replayed unnoticed.
TOLERANCE_MAX_S = 7 * 86_400.0

ID_MAX = 255

_UNIX_TIME = re.compile(r"[0-9]{1,12}")
_ID = re.compile(f"[!-~]{{1,{ID_MAX}}}")


class HoldsSecret(Protocol):
    """A `Credential`, as far as a scheme needs it."""

    @property
    def name(self) -> str: ...
    @property
    def fields(self) -> type[BaseModel]: ...


class Scheme:
    """A way of telling who sent a webhook.

    `credential` holds the secret; several, while a secret is being changed: a delivery signed with any of them
    is taken. Of each, the field `secret` is used (and `previous`, if there is one), or else the only field of
    type `SecretStr`.
    """

    def __init__(self, credential: HoldsSecret | Sequence[HoldsSecret]) -> None:
        given = cast(
            "tuple[HoldsSecret, ...]",
            tuple(credential) if isinstance(credential, list | tuple) else (credential,),
        )
        where = type(self).__name__
        if not given:
            raise MalformedTrigger(f"{where}(credential=...) needs a credential, with the secret in it.")
        for each in given:
            check_fields(each, where=where)
        self.credentials = given

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(credential.name for credential in self.credentials)})"

    def verify(self, request: SignedRequest, secrets: Sequence[str]) -> Verified:
        """Errors: Unverified, with a reason for whoever runs the server; it never holds a secret or a signature
        that would have been right."""
        raise NotImplementedError


class TimedScheme(Scheme):
    """One whose deliveries say, under the signature, when they were sent."""

    def __init__(
        self, credential: HoldsSecret | Sequence[HoldsSecret], *, tolerance: Duration = TOLERANCE
    ) -> None:
        super().__init__(credential)
        try:
            self.tolerance_s = parse_duration(tolerance)
            if not 0 < self.tolerance_s <= TOLERANCE_MAX_S:
                raise ValueError
        except ValueError:
            raise MalformedTrigger(
                f"{type(self).__name__}(tolerance={tolerance!r}): write a duration of more than nothing and at "
                f'most {format_duration(TOLERANCE_MAX_S)}, like "5m".'
            ) from None

    def check_time(self, unix_time: str, now_ms: int) -> None:
        # int() would take "١٢٣", "1_0" and " 1 " for numbers too
        if _UNIX_TIME.fullmatch(unix_time) is None:
            raise Unverified("the timestamp is not a number of seconds")
        late_ms = now_ms - int(unix_time) * 1000
        if abs(late_ms) > self.tolerance_s * 1000:
            side = "old" if late_ms > 0 else "ahead of this machine's clock"
            raise Unverified(
                f"the timestamp is {format_duration(abs(late_ms) / 1000)} {side}; "
                f"{format_duration(self.tolerance_s)} are tolerated"
            )


def usable(secrets: Sequence[str]) -> list[str]:
    """The secrets that are not empty: everybody can sign with an empty one. Errors: Unverified."""
    found = [secret for secret in secrets if secret]
    if not found:
        raise Unverified("the credential's secret is empty" if secrets else "the credential has no secret")
    return found


def hmac_sha256(key: bytes, content: bytes) -> bytes:
    from hmac import digest

    return digest(key, content, "sha256")


def require_match(given: Iterable[str], right: Iterable[bytes], *, what: str = "signature") -> None:
    """Some `given` text is one of the `right` ones. All are compared, each in constant time, as text: decoding
    would let several spellings of a signature pass. Errors: Unverified."""
    from hmac import compare_digest

    candidates = [_bytes(text) for text in given]
    found = False
    tried = 0
    for each in right:
        tried += 1
        for candidate in candidates:
            found |= compare_digest(candidate, each)
    if not found:
        raise Unverified(f"no {what} is right; {tried} secret{'' if tried == 1 else 's'} tried")


def checked_id(text: str, *, what: str) -> str:
    """Errors: Unverified when it cannot be kept as a delivery id."""
    if _ID.fullmatch(text) is None:
        raise Unverified(f"{what} is not 1 to {ID_MAX} printable ASCII characters without spaces")
    return text


def top_level(body: bytes) -> dict[str, object]:
    """The fields of a JSON object; none for any other body. For bodies whose signature was right."""
    import json

    load = cast("Callable[[bytes], object]", json.loads)
    try:
        value = load(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def event_id(name: object) -> str | None:
    """What a body says of its event's id, if that can be kept as the id of a delivery."""
    return name if isinstance(name, str) and _ID.fullmatch(name) is not None else None


def _bytes(text: str) -> bytes:
    # not strict: whatever cannot be encoded is not a signature
    return text.encode("utf-8", "surrogatepass")
