"""Fields of a credential between what a person gives, what is stored, and the model that an action gets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ksl.define.credential import Credential
from ksl.errors import InvalidCredential
from ksl.vault.redactor import Redactor

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class Checked(NamedTuple):
    fields: dict[str, tuple[bytes, bool]]  # JSON text as it is stored, and whether it is secret
    secrets: tuple[str, ...]  # texts that must be masked


def checked(credential: Credential[Any], given: Mapping[str, Any]) -> Checked:
    """`given`: values of JSON by field. A text that the model refuses is tried once more as JSON, since a command line
    has texts only. Errors: InvalidCredential, which repeats no value."""
    _known_fields(credential, given)
    values = dict(given)
    try:
        model = _model(credential, values)
    except InvalidCredential as error:
        wrong = {str(each["loc"][0]) for each in error.errors if each["loc"]}
        parsed = {name: _as_json(value) if name in wrong else value for name, value in values.items()}
        if parsed == values:
            raise
        values = parsed
        model = _model(credential, values)
    secret = secret_fields(credential, model)
    texts = dict.fromkeys(text for name in sorted(secret) for text in _texts(getattr(model, name, None)))
    texts |= dict.fromkeys(
        value for name, value in values.items() if name in secret and isinstance(value, str)
    )
    return Checked(
        {name: (json.dumps(value).encode(), name in secret) for name, value in values.items()}, tuple(texts)
    )


def opened(credential: Credential[Any], stored: Mapping[str, bytes]) -> BaseModel:
    """Errors: InvalidCredential where the model has changed since it was set."""
    return _model(credential, {name: json.loads(value) for name, value in stored.items()})


def json_value(stored: bytes) -> Any:
    return json.loads(stored)


def texts_of(stored: bytes) -> Iterator[str]:
    """Every text in a stored value."""
    return _texts(json.loads(stored))


def secrets_of(credential: Credential[Any], model: BaseModel) -> list[str]:
    return [text for name in secret_fields(credential, model) for text in _texts(getattr(model, name, None))]


def secret_fields(credential: Credential[Any], model: BaseModel) -> set[str]:
    """Those with `SecretStr` or `SecretBytes` in them. In a model that marks nothing, every one with text: better one
    name masked too many than a token in a log."""
    fields = credential.fields.model_fields
    marked = {name for name, field in fields.items() if "Secret" in repr(field.annotation)}
    return marked or {name for name in fields if any(_texts(getattr(model, name, None)))}


def required(credential: Credential[Any]) -> list[str]:
    return [name for name, field in credential.fields.model_fields.items() if field.is_required()]


def _model(credential: Credential[Any], values: Mapping[str, Any]) -> BaseModel:
    from pydantic import ValidationError

    try:
        return cast("BaseModel", credential.fields.model_validate(dict(values), by_alias=True, by_name=True))
    except ValidationError as error:
        raise _invalid(credential, error, values) from None


def _invalid(
    credential: Credential[Any], error: ValidationError, values: Mapping[str, Any]
) -> InvalidCredential:
    # A validator's message may quote what it was given.
    redactor = Redactor()
    for value in values.values():
        for text in _texts(value):
            redactor.learn(credential.name, text)
    found: list[dict[str, Any]] = [
        {"loc": list(each["loc"]), "msg": redactor.text(each["msg"])}
        for each in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    said = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}" for each in found)
    return InvalidCredential(
        f"credential {credential.name} does not fit its model {credential.fields.__name__}: {said}. Nothing was stored "
        f"or run with it. Its fields are {', '.join(credential.fields.model_fields)}; set it with "
        f"`ksl credentials set {credential.name} --set FIELD=...`.",
        found,
    )


def _known_fields(credential: Credential[Any], given: Mapping[str, Any]) -> None:
    fields = credential.fields.model_fields
    known = {*fields, *(field.alias for field in fields.values() if field.alias)}
    unknown = [name for name in given if name not in known]
    if unknown and credential.fields.model_config.get("extra") != "allow":
        raise InvalidCredential(
            f"credential {credential.name} has no field {', '.join(map(repr, unknown))}; its fields are "
            f"{', '.join(fields)}. Nothing was stored.",
            [{"loc": [name], "msg": "there is no such field"} for name in unknown],
        )


def _as_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, secrets as they are."""
    from pydantic import BaseModel, SecretBytes, SecretStr

    match value:
        case str():
            yield value
        case SecretStr():
            yield value.get_secret_value()
        case SecretBytes():
            yield value.get_secret_value().decode("utf-8", "surrogateescape")
        case BaseModel():
            for name in type(value).model_fields:
                yield from _texts(getattr(value, name))
        case dict():
            for inner in cast("dict[Any, Any]", value).values():
                yield from _texts(inner)
        case list() | tuple() | set() | frozenset():
            for inner in cast("list[Any]", value):
                yield from _texts(inner)
        case _:
            return
