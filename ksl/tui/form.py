"""A form from a JSON Schema. Nothing is chosen beforehand where an answer would be a decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Select, SelectionList, TextArea

from ksl.tui import safe
from ksl.tui.client import Json, Refused
from ksl.tui.frame import Line
from ksl.tui.yes_no import YesNo
from ksl.views.form_fields import WHOLE, Field, fields_of, payload_of, text_of


class FieldBox(Vertical):
    """A field with its label above and what is wrong with it below."""

    def __init__(self, field: Field, given: object, *, whole: str) -> None:
        super().__init__(classes="field")
        self.field = field
        self.whole = whole
        self.input = _widget(field, given)

    def compose(self) -> ComposeResult:
        field = self.field
        *groups, _ = field.name.split(".")
        label = self.whole if field.name == WHOLE and field.label == "Answer" else field.label
        text = Text()
        for group in groups:
            text.append(f"{safe.line(group, 30)} > ", "dim")
        text.append(safe.line(label, 60), "bold")
        text.append("  required" if field.required else "  optional", "dim italic")
        bounds = ", ".join(f"{name} {value:g}" for name, value in field.bounds.items())
        for told in filter(None, [bounds, field.help]):
            text.append(f"  {safe.line(told, 120)}", "dim")
        yield _line(text, "label")
        yield self.input
        yield Line(classes="wrong")

    def on_mount(self) -> None:
        if not isinstance(self.input, SelectionList | TextArea):  # they send messages alone
            self.watch(self.input, "value", self._changed, init=False)

    def on_selection_list_selected_changed(self) -> None:
        self._changed()

    def on_text_area_changed(self) -> None:
        self._changed()

    def _changed(self) -> None:
        """What was said of the answer before is not said of the new one."""
        self.wrong("")

    def pairs(self) -> Iterator[tuple[str, str]]:
        name = self.field.name
        for value in _values(self.input):
            yield name, value

    def wrong(self, text: str) -> None:
        line = self.query_one(".wrong", Line)
        line.show(Text(safe.line(text, 300)))
        line.display = bool(text)


class Form(VerticalScroll, can_focus=False):
    def __init__(self, schema: Json | None, *, given: object = None, whole: str = "Answer") -> None:
        super().__init__(classes="form")
        self.schema = schema
        self.wants_nothing = schema is not None and schema.get("type") == "null"
        fields = [] if self.wants_nothing else fields_of(schema)
        self.boxes = [FieldBox(each, _given(given, each.name), whole=whole) for each in fields]
        if not any(_given(given, each.field.name) is not None for each in self.boxes) and given is not None:
            self._raw_text = _pretty(given)
        else:
            self._raw_text = ""
        self.raw = TextArea(self._raw_text, classes="raw", compact=True)

    def compose(self) -> ComposeResult:
        yield Line(classes="wrong problem")
        if self.wants_nothing:
            yield Line("It takes no input.", classes="dim")
        yield from self.boxes
        yield self.raw

    def on_mount(self) -> None:
        for line in self.query(".wrong").results(Line):
            line.display = False
        self.raw.display = False

    @property
    def is_raw(self) -> bool:
        return bool(self.raw.display)

    def focus_first(self) -> None:
        if self.is_raw:
            self.raw.focus()
        elif self.boxes:
            self.boxes[0].input.focus()
        else:
            self.screen.set_focus(None)

    def toggle_raw(self) -> None:
        raw = not self.is_raw
        if raw:
            self.raw.text = _pretty(self._filled())
        for box in self.boxes:
            box.display = not raw
        self.raw.display = raw
        self.focus_first()

    def payload(self) -> tuple[object] | None:
        """In a tuple, as null is a payload too; None where something is wrong, and then the form says what."""
        self._clear()
        if self.is_raw:
            try:
                return (msgspec.json.decode(self.raw.text or "null"),)
            except msgspec.DecodeError as wrong:
                self.problem(f"This is not JSON: {wrong}")
                return None
        missing = [
            box for box in self.boxes if box.field.required and not any(value for _, value in box.pairs())
        ]
        for box in missing:
            box.wrong("an answer is needed here")
        if missing:
            missing[0].input.focus()
            return None
        return (self._filled(),)

    def refused(self, refused: Refused) -> None:
        """Each error at its field; the rest above all fields."""
        self._clear()
        elsewhere: list[str] = [] if refused.errors else [refused.detail]
        first: Widget | None = None
        for error in refused.errors:
            where = ".".join(str(each) for each in cast("Iterable[object]", error.get("loc", ())))
            box = next((box for box in self.boxes if _about(where, box.field.name)), None)
            if box is None or self.is_raw:
                elsewhere.append(f"{where}: {error.get('msg', '')}" if where else str(error.get("msg", "")))
            else:
                box.wrong(str(error.get("msg", "")))
                first = first or box.input
        self.problem(" ".join(elsewhere))
        if first is not None:
            first.focus()

    def problem(self, text: str) -> None:
        line = self.query_one(".problem", Line)
        line.show(Text(safe.line(text, 600)))
        line.display = bool(text)
        if text:
            self.scroll_home(animate=False)

    def _filled(self) -> object:
        if self.wants_nothing:
            return None
        pairs = [pair for box in self.boxes for pair in box.pairs()]
        payload: Any = payload_of(pairs, self.schema, form=True)
        numbers = [box.field for box in self.boxes if box.field.widget == "number"]
        for field in numbers:
            payload = _with_number(payload, field.name)
        return payload

    def _clear(self) -> None:
        self.problem("")
        for box in self.boxes:
            box.wrong("")


def _line(text: Text, classes: str) -> Line:
    line = Line(classes=classes)
    line.show(text)
    return line


def _widget(field: Field, given: object) -> Widget:
    match field.widget:
        case "yes_no":
            return YesNo(given if isinstance(given, bool) else None)
        case "choice":
            options = [(Text(safe.line(text_of(each), 60)), text_of(each)) for each in field.options]
            if given is not None and given in field.options:
                return Select[str](options, prompt="choose", value=text_of(given), compact=True)
            return Select[str](options, prompt="choose", compact=True)
        case "choices":
            chosen: list[Any] = cast("list[Any]", given) if isinstance(given, list) else []
            items = [
                (Text(safe.line(text_of(each), 60)), text_of(each), each in chosen) for each in field.options
            ]
            return SelectionList[str](*items, compact=True)
        case "number":
            kind = "integer" if field.step == "1" else "number"
            return Input("" if given is None else str(given), type=kind, compact=True)
        case "line":
            hint = {"date": "2026-01-31", "time": "14:30:00", "email": "name@example.org", "url": "https://"}
            text = "" if given is None else text_of(given)
            return Input(text, placeholder=hint.get(field.input_type, ""), compact=True)
        case "list":
            items_ = cast("list[Any]", given) if isinstance(given, list) else []
            return TextArea(
                "\n".join(map(text_of, items_)), classes="several", compact=True, tab_behavior="focus"
            )
        case "text":
            return TextArea("" if given is None else text_of(given), classes="several", compact=True)
        case "json":
            text = "" if given is None else _pretty(given)
            return TextArea(text, classes="several", compact=True)


def _values(widget: Widget) -> list[str]:
    match widget:
        case YesNo():
            return [] if widget.value is None else [text_of(widget.value)]
        case SelectionList():
            return [str(each) for each in cast("SelectionList[str]", widget).selected]
        case Select():
            value = cast("Select[str]", widget).value
            return [value] if isinstance(value, str) else []
        case Input():
            return [widget.value]
        case TextArea():
            return [widget.text]
        case _:
            raise AssertionError(widget)


def _given(given: object, name: str) -> object:
    if name == WHOLE:
        return given
    for key in name.split("."):
        if not isinstance(given, dict):
            return None
        given = cast(Json, given).get(key)
    return given


def _with_number(payload: Any, name: str) -> Any:
    """Digits as the number they are."""
    if name == WHOLE:
        return _number(payload)
    target = payload
    *outer, last = name.split(".")
    for key in outer:
        target = target.get(key, {})
    if last in target:
        target[last] = _number(target[last])
    return payload


def _number(value: Any) -> Any:
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError:
        return value


def _about(where: str, name: str) -> bool:
    return name == WHOLE or where == name or where.startswith(f"{name}.")


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
