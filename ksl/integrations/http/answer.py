"""What came back, as it is kept in the run's history."""

from __future__ import annotations

import base64
from typing import Any, TypeVar, overload

from pydantic import BaseModel, TypeAdapter

T = TypeVar("T")

_TEXT = ("application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded")


class HttpAnswer(BaseModel):
    """`url` is where the answer came from, after redirects, without its query. `headers` have lower-case names,
    and no cookies. A body that is text is in `text`, any other in `base64`."""

    status: int
    url: str
    headers: dict[str, str]
    text: str = ""
    base64: str | None = None

    @property
    def content(self) -> bytes:
        return self.text.encode() if self.base64 is None else base64.b64decode(self.base64)

    @overload
    def parse(self) -> Any: ...
    @overload
    def parse(self, model: type[T]) -> T: ...
    def parse(self, model: Any = Any) -> Any:
        """The body's JSON, validated as `model`. Errors: pydantic's ValidationError."""
        return TypeAdapter(model).validate_json(self.content)


def body_fields(content: bytes, content_type: str) -> dict[str, str]:
    """`text` or `base64` of an HttpAnswer, by the declared type; bytes that are not what was declared are kept
    as they are."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    is_text = kind.startswith("text/") or kind in _TEXT or kind.endswith(("+json", "+xml")) or not kind
    if is_text:
        try:
            return {"text": content.decode(_charset(parameters))}
        except (UnicodeDecodeError, LookupError):
            pass
    return {"base64": base64.b64encode(content).decode()}


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset":
            charset = value.strip('" ').lower()
            # "utf-8-sig" drops a byte-order mark, which JSON may not have
            return "utf-8-sig" if charset in ("utf-8", "utf8", "") else charset
    return "utf-8-sig"
