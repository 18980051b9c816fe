"""A source that others post to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, overload

from ksl.define.codec import Json
from ksl.define.delivery import Delivery
from ksl.define.payload_source import PayloadSource
from ksl.errors import MalformedTrigger
from ksl.records import SourceKind

_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


P = TypeVar("P")


class WebhookSource(PayloadSource[P]):
    """Fires at each delivery to `POST /triggers/{endpoint}` whose body fits `payload`.

    `filter` says whether a payload fires. `verify` is a scheme such as `StandardWebhooks(credential=...)`; without
    one whoever reaches the server can fire it. `form=True` takes form bodies too, each field a string, or a list
    of them where it came several times. Several sources may share an endpoint: each looks at every delivery.
    """

    kind: ClassVar[SourceKind] = "webhook"

    @overload
    def __init__(
        self,
        slug: str,
        endpoint: str | None = None,
        *,
        payload: type[P],
        filter: Callable[[P], object] | Callable[[P, Delivery], object] | None = None,
        verify: Any = None,
        form: bool = False,
        name: str | None = None,
        description: str = "",
    ) -> None: ...
    @overload
    def __init__(
        self: WebhookSource[Any],
        slug: str,
        endpoint: str | None = None,
        payload: Any = Any,
        *,
        filter: Callable[[Any], object] | Callable[[Any, Delivery], object] | None = None,
        verify: Any = None,
        form: bool = False,
        name: str | None = None,
        description: str = "",
    ) -> None: ...
    def __init__(
        self,
        slug: str,
        endpoint: str | None = None,
        payload: Any = Any,
        *,
        filter: Callable[..., object] | None = None,
        verify: Any = None,
        form: bool = False,
        name: str | None = None,
        description: str = "",
    ) -> None:
        super().__init__(slug, name=name, description=description, payload=payload, filter=filter)
        self.endpoint = slug if endpoint is None else endpoint
        if not _ENDPOINT.fullmatch(self.endpoint):
            raise MalformedTrigger(
                f'{self.where}: the endpoint "{self.endpoint}" cannot be used. It is one part of an address, '
                "/triggers/ENDPOINT: letters, digits, `.`, `_` and `-`, at most 100, starting with a letter or digit."
            )
        if verify is not None and not callable(getattr(verify, "verify", None)):
            raise MalformedTrigger(
                f"{self.where}: verify={verify!r} cannot verify anything. Give a scheme, such as "
                "ksl.StandardWebhooks(credential=...)."
            )
        self.verify = verify
        self.form = form

    def details(self) -> Json:
        verify = None if self.verify is None else type(self.verify).__name__
        return {"endpoint": self.endpoint, "verify": verify, "form": self.form}
