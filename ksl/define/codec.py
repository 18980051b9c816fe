"""Values to JSON text and back, by their annotations.

A value is validated, written once, and whoever gets it gets what the written text decodes to. So a live value
and a replayed one have equal types, and changing one in place alters no record. What cannot come back as it
went in (NaN, a lone surrogate, an object without a schema) is refused with the path to it.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from ksl.errors import InvalidInput, MalformedDefinition, NotEncodable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Json = dict[str, Any]


class Codec:
    """One annotation. The pydantic schema is built at first use: importing an author's module stays cheap
    and forward references are resolved when everything is there."""

    __slots__ = ("_adapter", "_dump", "_hint", "_validate", "decode", "where")

    def __init__(self, hint: Any | Callable[[], Any], *, where: str, lazy: bool = False) -> None:
        self.where = where
        self._hint: Callable[[], Any] = hint if lazy else lambda: hint
        self._adapter: TypeAdapter[Any] | None = None
        # The value of stored text. Errors: pydantic's ValidationError. Not a method: it is called for every step,
        # and once there is a schema no Python lies between.
        self.decode: Callable[[bytes], Any] = self._decode_first

    def prepare(self) -> None:
        """Builds the schema. MalformedDefinition when the annotation has none."""
        if self._adapter is not None:
            return
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

        try:
            adapter: TypeAdapter[Any] = TypeAdapter(self._hint())
            adapter.rebuild(raise_errors=True)
        except (PydanticSchemaGenerationError, PydanticUserError, NameError) as error:
            raise MalformedDefinition(
                f"{self.where}: no schema can be made of its annotation: {error}. Use types that pydantic "
                "can validate: built-in types, models, dataclasses, TypedDicts."
            ) from error
        _refuse_secrets(adapter, where=self.where)
        self._validate = adapter.validator.validate_python
        self._dump = adapter.serializer.to_json
        self.decode = partial(adapter.validator.validate_json, by_alias=True, by_name=True)
        self._adapter = adapter

    @property
    def adapter(self) -> TypeAdapter[Any]:
        self.prepare()
        return cast("TypeAdapter[Any]", self._adapter)

    def validate(self, value: Any) -> Any:
        """pydantic's ValidationError when the value does not fit."""
        if self._adapter is None:
            self.prepare()
        return self._validate(value)

    def encode(self, value: Any, *, root: str) -> bytes:
        """JSON text of a value that fits. Errors: pydantic's ValidationError; NotEncodable with a path that
        starts at `root`."""
        if self._adapter is None:
            self.prepare()
        return self.dump(self._validate(value), root)

    def dump(self, value: Any, root: str) -> bytes:
        """JSON text of a value that was validated before."""
        if self._adapter is None:
            self.prepare()
        try:
            data = self._dump(value, warnings=False)
        except Exception as error:
            raise not_encodable(value, root=root, cause=error) from error
        # pydantic writes NaN and infinities as null, or a Decimal without an annotation as text of that name, so
        # only text with such a word in it can hide one. `find`, since `in` asks first whether the word is a number, and
        # makes and drops an exception to learn that it is not.
        find = data.find
        if (find(b"null") >= 0 or find(b"NaN") >= 0 or find(b"Infinity") >= 0) and value is not None:
            # Not mode="json", which writes them as None already.
            refuse_non_finite(self.adapter.serializer.to_python(value, warnings=False), root=root)
        return data

    def _decode_first(self, data: bytes) -> Any:
        self.prepare()
        return self.decode(data)

    def schema(self) -> Json:
        return self.adapter.json_schema()


class ArgumentsCodec:
    """The parameters of an action as one JSON object."""

    __slots__ = (
        "_codec",
        "_decode",
        "_pack",
        "_positional",
        "_ready",
        "_refusal",
        "_validate",
        "fields",
        "function",
        "skip",
        "where",
    )

    def __init__(self, function: Callable[..., Any], *, where: str, skip: str | None) -> None:
        self.function = function
        self.where = where
        self.skip = skip  # the ActionContext parameter: not input
        self._ready = False
        self.fields = [p for p in inspect.signature(function).parameters.values() if p.name != skip]
        for parameter in self.fields:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise MalformedDefinition(
                    f"{where}: the parameter {parameter} takes any number of values, so no input schema can be "
                    "made of it. Name every parameter; take a list or a dict for many."
                )
        self._positional = [p.name for p in self.fields if p.kind is p.POSITIONAL_ONLY]

    def prepare(self) -> None:
        if self._ready:
            return
        from pydantic import ConfigDict
        from pydantic.dataclasses import dataclass as pydantic_dataclass
        from pydantic_core import ArgsKwargs, ValidationError

        hints = get_type_hints(self.function, include_extras=True)
        specs: list[Any] = []
        for parameter in self.fields:
            hint = hints.get(parameter.name, Any)
            if parameter.default is parameter.empty:
                specs.append(
                    (
                        parameter.name,
                        hint,
                        dataclasses.field(kw_only=parameter.kind is parameter.KEYWORD_ONLY),
                    )
                )
            else:
                default = parameter.default
                specs.append(
                    (
                        parameter.name,
                        hint,
                        default
                        if type(default).__name__ == "FieldInfo"
                        else dataclasses.field(
                            default_factory=_copier(default),
                            kw_only=parameter.kind is parameter.KEYWORD_ONLY,
                        ),
                    )
                )
        try:
            made = dataclasses.make_dataclass("Input", specs, eq=False, repr=False)
            shape = pydantic_dataclass(made, config=ConfigDict(extra="forbid"))
        except Exception as error:
            raise MalformedDefinition(
                f"{self.where}: no input schema can be made of its parameters: {error}"
            ) from error
        self._codec = Codec(shape, where=self.where)
        self._codec.prepare()
        self._validate = self._codec.adapter.validator.validate_python
        self._decode = self._codec.decode
        # Kept, since an import in `encode` would cost as much as the validation.
        self._pack = ArgsKwargs
        self._refusal = ValidationError
        self._ready = True

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """JSON object of the arguments. Errors: InvalidInput naming the parameters; NotEncodable."""
        if not self._ready:
            self.prepare()
        try:
            value = self._validate(self._pack(args, kwargs))
        except self._refusal as error:
            raise invalid(error, what=f"the input of {self.where}") from None
        return self._codec.dump(value, "input")

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Positional-only arguments and the others, ready to call the function with."""
        if not self._ready:
            self.prepare()
        # Its dict was made for this call alone.
        values: dict[str, Any] = self._decode(data).__dict__
        return [values.pop(name) for name in self._positional] if self._positional else [], values

    def schema(self) -> Json:
        self.prepare()
        return {**self._codec.schema(), "title": f"{self.where} input"}


def invalid(error: ValueError, *, what: str, state: str = "") -> InvalidInput:
    """What pydantic's ValidationError says, for people, and what state things are in. Another ValueError is
    raised again."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        raise error
    errors: list[dict[str, Any]] = [
        {"loc": list(item["loc"]), "msg": item["msg"]} for item in error.errors(include_url=False)
    ]
    lines = "; ".join(f"{where_of(item['loc'])}: {item['msg']}" for item in errors[:5])
    more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
    state = f". {state}" if state else ""
    return InvalidInput(f"{what} does not fit its schema: {lines}{more}{state}", errors)


def where_of(loc: list[Any]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text or "the value itself"


def not_encodable(value: Any, *, root: str, cause: Exception) -> NotEncodable:
    path, why = _culprit(value, root, cause, depth=0)
    return NotEncodable(
        f"{path} cannot be stored as JSON: {why}. Return plain values, models or dataclasses; convert others first."
    )


def refuse_non_finite(plain: Any, *, root: str) -> None:
    """NotEncodable naming the first NaN or infinity in plain values."""
    stack: list[tuple[str, Any]] = [(root, plain)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, float | Decimal):
            if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
                raise NotEncodable(
                    f"{path} is {value}, which JSON does not have. Return None, a string or a finite number instead."
                )
        elif isinstance(value, dict):
            mapping = cast("Mapping[Any, Any]", value)
            stack.extend((f"{path}.{key}", inner) for key, inner in reversed(list(mapping.items())))
        elif isinstance(value, list | tuple | set | frozenset):
            items = list(cast("Iterable[Any]", value))
            stack.extend((f"{path}[{n}]", items[n]) for n in range(len(items) - 1, -1, -1))


def _copier(default: Any) -> Callable[[], Any]:
    import copy

    return lambda: copy.deepcopy(default)


def _refuse_secrets(adapter: TypeAdapter[Any], *, where: str) -> None:
    """A SecretStr is written as asterisks: the step would silently get those. Credentials are the way."""
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        schema = adapter.json_schema()
    except PydanticInvalidForJsonSchema:
        return  # no JSON Schema (a callable default, say) says nothing about secrets
    stack: list[Any] = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if cast("Json", node).items() >= {"writeOnly": True, "format": "password"}.items():
                raise MalformedDefinition(
                    f"{where}: its annotation holds a secret (SecretStr). Values of steps are stored in the log, "
                    "where secrets must not be; name a Credential on the action instead."
                )
            stack.extend(cast("dict[str, Any]", node).values())
        elif isinstance(node, list):
            stack.extend(cast("list[Any]", node))


def _culprit(value: object, path: str, cause: Exception, *, depth: int) -> tuple[str, str]:
    """The innermost part that cannot be written, and why."""
    from pydantic_core import to_json

    kind = type(value).__name__
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        parts = [(f"{path}.{key}", inner) for key, inner in cast("dict[Any, Any]", value).items()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = [(f"{path}[{n}]", inner) for n, inner in enumerate(cast("list[Any]", value))]
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        fields = vars(value)
        parts = [(f"{path}.{name}", inner) for name, inner in fields.items() if not name.startswith("__")]
    if depth < 50:
        for where, inner in parts:
            try:
                to_json(inner)
            except Exception as error:
                return _culprit(inner, where, error, depth=depth + 1)
    if isinstance(value, str):
        return path, "the text holds a lone surrogate, which UTF-8 cannot carry"
    return path, f"{kind}: {str(cause).splitlines()[0]}"
