from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from ksl.views.form_fields import fields_of, pairs_of, payload_of, placed


class Address(BaseModel):
    city: str
    zip: str | None = None


class Approval(BaseModel):
    approved: bool
    amount: float
    level: Literal[1, 2, 3] = 1
    address: Address
    tags: list[str] = []
    notes: Annotated[str, Field(max_length=2000, description="For the file.")] = ""
    kinds: list[Literal["a", "b"]] = []
    extra: dict[str, Any] = {}


SCHEMA = Approval.model_json_schema()


def test_an_object_becomes_a_field_for_each_property_and_a_nested_one_has_dots() -> None:
    assert [(field.name, field.widget, field.required) for field in fields_of(SCHEMA)] == [
        ("approved", "yes_no", True),
        ("amount", "number", True),
        ("level", "choice", False),
        ("address.city", "line", True),
        ("address.zip", "line", False),
        ("tags", "list", False),
        ("notes", "text", False),
        ("kinds", "choices", False),
        ("extra", "json", False),
    ]


def test_a_field_tells_its_bounds_and_what_an_empty_one_stands_for() -> None:
    class Rated(BaseModel):
        stars: int = Field(default=3, ge=1, le=5, description="From 1 to 5.")
        weight: float = Field(ge=0.5)
        seat: str = "aisle"
        meal: bool = True
        note: str | None = None

    stars, weight, seat, meal, note = fields_of(Rated.model_json_schema())
    assert (stars.bounds, weight.bounds, seat.bounds) == ({"min": 1, "max": 5}, {"min": 0.5}, {})
    assert [field.help for field in (stars, weight, seat, meal, note)] == [
        "From 1 to 5. 3 if left empty.",
        "",
        "aisle if left empty.",
        "Yes if left empty.",
        "",
    ]


def test_a_field_has_the_label_the_help_and_the_options_of_its_property() -> None:
    fields = {field.name: field for field in fields_of(SCHEMA)}
    assert fields["address.city"].label == "City"
    assert fields["notes"].help == "For the file."
    assert fields["level"].options == [1, 2, 3]
    assert fields["kinds"].options == ["a", "b"]


def test_a_field_of_an_object_says_what_it_is_a_part_of() -> None:
    fields = {field.name: field for field in fields_of(SCHEMA)}
    assert fields["address.city"].within == ("Address",)
    assert fields["amount"].within == ()


def test_what_is_filled_in_as_json_has_an_example() -> None:
    class Card(BaseModel):
        kind: Literal["card"]
        number: int

    class Cash(BaseModel):
        kind: Literal["cash"]

    class Order(BaseModel):
        lines: list[Address]
        pay: Annotated[Card | Cash, Field(discriminator="kind")]
        extra: dict[str, Any] = {}

    assert [field.help for field in fields_of(Order.model_json_schema())] == [
        'As JSON, like [{"city": "…", "zip": "…"}]',
        'As JSON, like {"kind": "card", "number": 0}',
        "As JSON.",
    ]


def test_a_choice_that_is_too_long_for_a_label_is_none() -> None:
    field = fields_of({"enum": ["x" * 1_000, "y"], "type": "string"})[0]
    assert (field.widget, field.options) == ("line", [])


def test_what_is_wrong_is_told_where_it_was_filled_in() -> None:
    fields = fields_of(SCHEMA)
    missing = "Field required"
    told, rest = placed(
        fields,
        [
            {"loc": ["amount"], "msg": missing},
            {"loc": ["address"], "msg": missing},
            {"loc": ["kinds", 1], "msg": "neither a nor b"},
            {"loc": ["extra", "size", 0], "msg": "too large"},
            {"loc": ["size"], "msg": "no such field"},
            {"loc": [], "msg": "too much of all"},
        ],
    )
    assert told == {
        "amount": missing,
        "address.city": missing,
        "kinds": "neither a nor b",
        "extra": "size.0: too large",
    }
    assert rest == ["size: no such field", "too much of all"]


def test_a_payload_without_names_is_wrong_as_a_whole() -> None:
    assert placed(fields_of({"type": "integer"}), [{"loc": [], "msg": "no number"}]) == (
        {"value": "no number"},
        [],
    )


def test_a_payload_becomes_what_would_have_been_filled_in() -> None:
    given = {"approved": False, "amount": 1.5, "tags": ["x", "y"], "extra": {"a": [1]}, "unknown": 7}
    assert pairs_of(given, fields_of(SCHEMA)) == [
        ("approved", "false"),
        ("amount", "1.5"),
        ("tags", "x"),
        ("tags", "y"),
        ("extra", '{"a": [1]}'),
    ]
    assert pairs_of(7, fields_of({"type": "integer"})) == [("value", "7")]


def test_a_filled_form_becomes_a_payload_that_the_schema_takes() -> None:
    pairs = [
        ("approved", "true"),
        ("amount", "12.50"),
        ("level", "2"),
        ("address.city", "Bern"),
        ("address.zip", ""),
        ("tags", "one\r\n two \r\n"),
        ("notes", ""),
        ("kinds", "a"),
        ("kinds", "b"),
        ("extra", '{"x": [1]}'),
    ]
    payload = payload_of(pairs, SCHEMA, form=True)
    assert payload == {
        "approved": True,
        "amount": "12.50",
        "level": 2,
        "address": {"city": "Bern"},
        "tags": ["one", "two"],
        "kinds": ["a", "b"],
        "extra": {"x": [1]},
    }
    assert Approval.model_validate(payload).amount == 12.5


def test_a_query_keeps_an_empty_value_and_passes_on_unknown_names() -> None:
    assert payload_of([("notes", ""), ("who", "me"), ("a.b", "1")], SCHEMA, form=False) == {
        "notes": "",
        "who": "me",
        "a.b": "1",
    }


@pytest.mark.parametrize(
    ("schema", "pairs", "payload"),
    [
        ({"type": "boolean"}, [("value", "true")], True),
        ({"type": "integer"}, [("value", "7")], "7"),
        ({"type": "string"}, [("value", "7")], "7"),
        ({"enum": ["yes", "no"]}, [("value", "no")], "no"),
        ({"type": "array", "items": {"type": "string"}}, [], []),
        ({"type": "object", "properties": {"a": {}}}, [], {}),
        (None, [], None),
        (None, [("value", "")], None),
        (None, [("value", "Looks good")], "Looks good"),
        (None, [("value", '{"ok": true}')], {"ok": True}),
        (None, [("value", "1e999")], "1e999"),
        (None, [("value", "NaN")], "NaN"),
        (None, [("value", '"\\ud800"')], '"\\ud800"'),
        (None, [("approved", "true"), ("by", "Ada")], {"approved": "true", "by": "Ada"}),
    ],
)
def test_a_payload_that_is_no_object_has_one_field_named_value(
    schema: dict[str, Any] | None, pairs: list[tuple[str, str]], payload: object
) -> None:
    assert payload_of(pairs, schema, form=True) == payload


def test_a_schema_that_refers_to_itself_ends() -> None:
    class Node(BaseModel):
        name: str
        next: Node | None = None

    names = [field.name for field in fields_of(Node.model_json_schema())]
    assert names[0] == "name" or names == ["value"]
    assert len(names) < 10
