"""A source whose payloads have a type, so that a type checker knows what a transform or a prompt is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

from ksl.define.delivery import Delivery
from ksl.define.source import Source
from ksl.define.workflow import Workflow

P = TypeVar("P")


class PayloadSource(Source, Generic[P]):
    @overload
    def attach(
        self,
        target: Workflow[Any, Any],
        /,
        *,
        transform: Callable[[P], object] | Callable[[P, Delivery], object] | None = None,
    ) -> Self: ...
    @overload
    def attach(
        self, target: object, /, *, prompt: str | Callable[[P], str] | Callable[[P, Delivery], str]
    ) -> Self: ...
    def attach(self, target: Any, /, *, transform: Any = None, prompt: Any = None) -> Self:
        """As `Source.attach`, with the payload's type."""
        return self._attach(target, transform, prompt)
