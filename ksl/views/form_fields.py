"""The fields of a form, from the JSON Schema of its payload, and a payload from what was filled in.

Objects become a field for each property, nested ones with a dot in the name ("address.city"). What has no
simple widget (lists of objects, free-form objects) is a box for JSON. Values stay text where the schema
allows: the same lenient reading that query strings get turns "7" into 7.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import msgspec

from ksl.views.values import JsonObject, is_list, is_object

Widget = Literal["line", "text", "number", "yes_no", "choice", "choices", "list", "json"]

# A payload that is not an object has one field, with this name.
WHOLE = "value"

_DEPTH_MAX = 3
_CHOICES_MAX = 200
_CHOICE_MAX = 500  # characters; what is longer is no label
_EXAMPLE_MAX = 200


@dataclass(frozen=True)
class Field:
    """`within`: the labels of the objects that it is a property of, the outermost first."""

    name: str
    label: str
    widget: Widget
    required: bool = True
    help: str = ""
    input_type: str = "text"
    step: str = "any"
    bounds: dict[str, int | float] = field(default_factory=dict[str, int | float])  # of a number: min, max
    options: list[Any] = field(default_factory=list[Any])  # the values of a choice, as JSON
    within: tuple[str, ...] = ()


def fields_of(schema: JsonObject | None) -> list[Field]:
    if schema is None:
        help_ = "JSON, or plain text. It may be left empty."
        return [Field(WHOLE, "Answer", "json", required=False, help=help_)]
    root = _resolved(schema, schema)
    if _is_plain_object(root):
        return list(_properties(root, schema, prefix="", within=()))
    return [_field(WHOLE, root.get("title") or "Answer", schema, schema, required=True)]


def payload_of(pairs: Iterable[tuple[str, str]], schema: JsonObject | None, *, form: bool) -> Any:
    """The payload that names and values stand for. `form`: an empty field was left out, as browsers send all.

    A name that the schema does not have is passed on, for the schema to allow or refuse.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if not form or value.strip():
            given.setdefault(name, []).append(value)
    fields = {field.name: field for field in fields_of(schema)}
    if schema is None and not given:
        return None
    if WHOLE in fields and (schema is None or not _is_plain_object(_resolved(schema, schema))):
        if set(given) <= {WHOLE}:
            return _value(given.get(WHOLE), fields[WHOLE])
    payload: JsonObject = {}
    for name, values in given.items():
        _put(payload, name, _value(values, fields.get(name)), nested=name in fields)
    return payload


def pairs_of(payload: object, fields: Iterable[Field]) -> list[tuple[str, str]]:
    """What somebody would have filled in to send this payload. What no field has room for is left out."""
    pairs: list[tuple[str, str]] = []
    for each in fields:
        value = _at(payload, each.name)
        several = value if is_list(value) and each.widget != "json" else [value]
        pairs += [(each.name, text_of(one)) for one in several if one is not None]
    return pairs


def placed(fields: Iterable[Field], errors: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """What is wrong with each field, by its name, and what is wrong with none of them. `errors` are `{"loc", "msg"}`.

    What is wrong inside the JSON of a field says where; what is said of a missing object goes to those of its fields
    that must be filled in.
    """
    known = list(fields)
    told: dict[str, str] = {}
    rest: list[str] = []
    for error in errors:
        place = ".".join(map(str, error["loc"]))
        around = next((each for each in known if f"{place}.".startswith(f"{each.name}.")), None)
        if around is None and known and known[0].name == WHOLE:
            around, inside = known[0], place
        else:
            inside = place.removeprefix(around.name).strip(".") if around is not None else ""
        below = [each.name for each in known if each.required and each.name.startswith(f"{place}.")]
        if around is not None:
            json = around.widget == "json" and inside
            told.setdefault(around.name, f"{inside}: {error['msg']}" if json else str(error["msg"]))
        elif below:
            for name in below:
                told.setdefault(name, str(error["msg"]))
        else:
            rest.append(f"{place}: {error['msg']}" if place else str(error["msg"]))
    return told, rest


def text_of(value: object) -> str:
    """A value as a form sends it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _properties(
    root: JsonObject, schema: JsonObject, *, prefix: str, within: tuple[str, ...], optional: bool = False
) -> Iterable[Field]:
    required = set(cast(list[str], root.get("required", [])))
    properties: Mapping[str, Any] = root.get("properties", {})
    for key, property_ in properties.items():
        resolved = _resolved(property_, schema)
        name = prefix + key
        must = key in required and not optional
        if _is_plain_object(resolved) and len(within) < _DEPTH_MAX - 1 and "." not in key:
            # Its title is that of a class, which says less than what it is here.
            inside = (*within, str(property_.get("title") or _words(key)))
            yield from _properties(resolved, schema, prefix=f"{name}.", within=inside, optional=not must)
        else:
            label = resolved.get("title") or _words(key)
            yield replace(_field(name, label, property_, schema, required=must), within=within)


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _field(name: str, label: str, property_: JsonObject, schema: JsonObject, *, required: bool) -> Field:
    resolved = _resolved(property_, schema)
    help_ = _help(resolved, property_)
    options = _options(resolved)
    if options:
        return Field(name, label, "choice", required, help_, options=options)
    match resolved.get("type"):
        case "boolean":
            return Field(name, label, "yes_no", required, help_, options=[True, False])
        case "integer":
            bounds = _bounds(resolved)
            return Field(name, label, "number", required, help_, input_type="number", step="1", bounds=bounds)
        case "number":
            bounds = _bounds(resolved)
            return Field(name, label, "number", required, help_, input_type="number", bounds=bounds)
        case "string":
            kinds = {"date": "date", "email": "email", "uri": "url", "time": "time"}
            kind = kinds.get(str(resolved.get("format")), "text")
            long = kind == "text" and int(resolved.get("maxLength", 0)) > 300
            return Field(name, label, "text" if long else "line", required, help_, input_type=kind)
        case "array":
            items = _resolved(resolved.get("items", {}), schema)
            if several := _options(items):
                return Field(name, label, "choices", required, help_, options=several)
            if items.get("type") in ("string", "integer", "number"):
                return Field(name, label, "list", required, help_ or "One on each line.")
            return Field(name, label, "json", required, help_ or _like(resolved, schema))
        case _:
            return Field(name, label, "json", required, help_ or _like(resolved, schema))


def _like(resolved: JsonObject, schema: JsonObject) -> str:
    """An example says more to most people than a schema would."""
    shown = json.dumps(_example(resolved, schema, depth=4), ensure_ascii=False)
    return f"As JSON, like {shown}" if 4 < len(shown) <= _EXAMPLE_MAX else "As JSON."


def _example(part: JsonObject, schema: JsonObject, *, depth: int) -> Any:
    part = _resolved(part, schema)
    kinds: list[JsonObject] = part.get("oneOf") or part.get("anyOf") or []
    if not depth:
        return None
    if kinds:
        return _example(kinds[0], schema, depth=depth - 1)
    if options := _options(part):
        return options[0]
    properties: Mapping[str, JsonObject] = part.get("properties", {})
    match part.get("type"):
        case "object":
            return {key: _example(each, schema, depth=depth - 1) for key, each in properties.items()}
        case "array":
            return [_example(part.get("items", {}), schema, depth=depth - 1)]
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "string":
            return "…"
        case _:
            return None


def _help(resolved: JsonObject, property_: JsonObject) -> str:
    """The description, and what an empty field stands for where that is a plain value."""
    help_ = str(resolved.get("description", ""))
    match property_.get("default"):
        case bool(default):
            taken = "Yes" if default else "No"
        case str() | int() | float() as default if default != "":
            taken = str(default)
        case _:
            return help_
    return f"{help_.rstrip('.')}. {taken} if left empty." if help_ else f"{taken} if left empty."


def _bounds(resolved: JsonObject) -> dict[str, int | float]:
    found = {"min": resolved.get("minimum"), "max": resolved.get("maximum")}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _options(resolved: JsonObject) -> list[Any]:
    options: list[Any] = [resolved["const"]] if "const" in resolved else resolved.get("enum", [])
    fits = len(options) <= _CHOICES_MAX and all(len(text_of(each)) <= _CHOICE_MAX for each in options)
    return options if fits else []


def _value(values: list[str] | None, field: Field | None) -> Any:
    if values is None:
        return [] if field is not None and field.widget in ("choices", "list") else None
    if field is None:
        return values if len(values) > 1 else values[0]
    match field.widget:
        case "choices":
            return [_option(value, field) for value in values]
        case "list":
            return [line.strip() for value in values for line in value.splitlines() if line.strip()]
        case "choice" | "yes_no" if len(values) == 1:
            return _option(values[0], field)
        case "json" if len(values) == 1:
            return _json_or_text(values[0])
        case _:
            return values if len(values) > 1 else values[0]


def _option(value: str, field: Field) -> Any:
    """An enum of numbers takes the number only, never its digits as text."""
    return next((option for option in field.options if text_of(option) == value), value)


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _at(payload: object, name: str) -> Any:
    if name == WHOLE and not is_object(payload):
        return payload
    for key in name.split("."):
        payload = payload.get(key) if is_object(payload) else None
    return payload


def _put(payload: JsonObject, name: str, value: Any, *, nested: bool) -> None:
    *outer, last = name.split(".") if nested else [name]
    target = payload
    for key in outer:
        inner = target.setdefault(key, {})
        if not is_object(inner):
            return  # a name that is also a value; the schema will say what is missing
        target = inner
    target[last] = value


def _is_plain_object(resolved: JsonObject) -> bool:
    return resolved.get("type") == "object" and bool(resolved.get("properties"))


def _resolved(part: JsonObject, schema: JsonObject) -> JsonObject:
    """Follows references into the schema itself, and takes the one kind out of "this or null"."""
    outer = {key: part[key] for key in ("title", "description") if key in part}
    for _ in range(10):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            target: JsonObject = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
            part = target
            continue
        kinds: list[JsonObject] = part.get("anyOf") or part.get("allOf") or []
        some = [kind for kind in kinds if kind.get("type") != "null"]
        if len(some) != 1:
            break
        part = some[0]
    return {**part, **outer}
