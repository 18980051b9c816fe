"""Models with no network: `test/echo` says what it is told, `test/script/...` what a script has for each turn.

A script is a list of turns, in a JSON file of the project (`test/script/agents/support.json`) or given in a test by
`ksl.testing.script`. Which turn is next follows from the conversation alone, so a run that is taken up again goes on
where it was. A turn is a text, or an object with `text`, `calls` (`{"name", "args"}`), `output` (the structured answer)
and `usage` (`{"input_tokens", "output_tokens"}`); or a list of such objects, of which the first counts whose
`if_heard` (a regular expression, in any case of letters) is found in the newest message, one without it in any. In
Python it may be a function of the messages that returns one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from ksl.agent.message import OUTPUT_TOOL
from ksl.agent.model import Model, Question, Reply
from ksl.errors import UnknownModel
from ksl.records.model_use import ModelUse

Json = dict[str, Any]
Turn = str | Json | list[Json] | Callable[[Sequence[Json]], Any]

_scripts: dict[str, list[Turn]] = {}  # given by tests, by name


def put_script(name: str, turns: Sequence[Turn]) -> str:
    """The name of the model that says these turns, one after the other, in each prompt anew."""
    _scripts[name] = list(turns)
    return f"test/script/{name}"


def take_script(name: str) -> None:
    _scripts.pop(name, None)


def check_test_model(id: str, *, folder: Path) -> None:
    """Errors: UnknownModel."""
    if id == "echo":
        return
    kind, _, script = id.partition("/")
    if kind != "script":
        raise UnknownModel(f'"test/{id}" is no test model. They are test/echo and test/script/NAME.')
    if not script:
        raise UnknownModel(
            '"test/script" names no script. Write test/script/ and the path of a JSON file below the project folder, '
            'like "test/script/agents/support.json", or the name given to ksl.testing.script.'
        )
    if script not in _scripts:
        _read(script, folder)


def test_model(id: str, *, name: str, folder: Path) -> Model:
    """Errors: UnknownModel."""
    return EchoModel() if id == "echo" else ScriptModel(name, id.partition("/")[2], folder)


class EchoModel:
    """Says the newest message again. Asked for structure, it takes the message for it where that is JSON, and makes
    the plainest value that fits where it is not. It calls no tool."""

    async def turn(self, question: Question) -> Reply:
        heard = _heard(question.messages)
        if question.output is None:
            _tell(heard, question)
            return Reply([_text(heard)], _use("test/echo", question, heard))
        try:
            value = json.loads(heard)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            value = plainest(question.output)
        return Reply([_call(0, OUTPUT_TOOL, value, question)], _use("test/echo", question, json.dumps(value)))

    async def close(self) -> None:
        return None


class ScriptModel:
    def __init__(self, name: str, script: str, folder: Path) -> None:
        self._name = name
        self._script = script
        self._folder = folder
        self._read: list[Turn] | None = None

    async def turn(self, question: Question) -> Reply:
        turns = self._turns()
        place = _said_since_prompt(question.messages)
        if place >= len(turns):
            raise UnknownModel(
                f"{self._name} has {len(turns)} turns, and turn {place + 1} is asked for. Add it to the script."
            )
        turn = turns[place]
        if callable(turn):
            turn = turn(question.messages)
        if isinstance(turn, list):
            turn = self._case(cast("list[Json]", turn), _heard(question.messages), place)
        if isinstance(turn, str):
            turn = {"text": turn}
        return self._reply(cast("Json", turn), question)

    def _case(self, cases: list[Json], heard: str, place: int) -> Json:
        for case in cases:
            if re.search(case.get("if_heard", ""), heard, re.IGNORECASE):
                return case
        raise UnknownModel(
            f"{self._name}: none of the {len(cases)} cases of turn {place + 1} fits what was heard: {heard[:200]!r}. "
            "Add one, or one without if_heard at the end."
        )

    async def close(self) -> None:
        return None

    def _turns(self) -> list[Turn]:
        if self._script in _scripts:
            return _scripts[self._script]
        if self._read is None:
            self._read = _read(self._script, self._folder)
        return self._read

    def _reply(self, turn: Json, question: Question) -> Reply:
        parts: list[Json] = []
        if turn.get("text"):
            parts.append(_text(turn["text"]))
            _tell(turn["text"], question)
        for call in turn.get("calls", ()):
            parts.append(_call(len(parts), call["name"], call.get("args", {}), question))
        if "output" in turn:
            output = turn["output"]
            if question.wrapped:
                output = {"response": output}
            parts.append(_call(len(parts), OUTPUT_TOOL, output, question))
        use = _use(self._name, question, turn.get("text", ""))
        if (given := turn.get("usage")) is not None:
            use = ModelUse(
                self._name, given.get("input_tokens", 0), given.get("output_tokens", 0), usd=given.get("usd")
            )
        return Reply(parts, use)


def plainest(schema: Json) -> Any:
    """The plainest value that fits a JSON Schema."""
    return _plainest(schema, schema.get("$defs", {}), depth=0)


def _plainest(schema: Json, defs: Json, *, depth: int) -> Any:
    if depth > 20:
        return None
    if "$ref" in schema:
        return _plainest(defs.get(schema["$ref"].rpartition("/")[2], {}), defs, depth=depth + 1)
    if "default" in schema:
        return schema["default"]
    for choice in ("const", "enum", "examples"):
        if choice in schema:
            return schema[choice] if choice == "const" else schema[choice][0]
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return _plainest(schema[several][0], defs, depth=depth + 1)
    match schema.get("type"):
        case "object":
            wanted: list[str] = schema.get("required", [])
            fields: Json = schema.get("properties", {})
            return {name: _plainest(fields.get(name, {}), defs, depth=depth + 1) for name in wanted}
        case "array":
            least = int(schema.get("minItems", 0))
            return [_plainest(schema.get("items", {}), defs, depth=depth + 1) for _ in range(least)]
        case "integer":
            return int(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
        case "number":
            return float(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return "x" * int(schema.get("minLength", 0)) or "text"


def _heard(messages: Sequence[Json]) -> str:
    for part in reversed(messages[-1]["parts"]):
        if part["part_kind"] == "user-prompt":
            return part["content"]
        if part["part_kind"] == "tool-return":
            return part["content"] if isinstance(part["content"], str) else json.dumps(part["content"])
    return ""


def _said_since_prompt(messages: Sequence[Json]) -> int:
    """How many responses follow the newest message of a prompt."""
    said = 0
    for message in reversed(messages):
        if message["kind"] == "response":
            said += 1
        elif any(part.get("starts_prompt") for part in message["parts"]):
            break
    return said


def _tell(text: str, question: Question) -> None:
    """A word at a time, as models do."""
    if question.told is not None:
        for word in re.findall(r"\s*\S+|\s+$", text):
            question.told(word)


def _text(content: str) -> Json:
    return {"part_kind": "text", "content": content}


def _call(place: int, name: str, args: Any, question: Question) -> Json:
    said = sum(message["kind"] == "response" for message in question.messages)
    return {"part_kind": "tool-call", "tool_name": name, "args": args, "tool_call_id": f"call-{said}-{place}"}


def _use(name: str, question: Question, said: str) -> ModelUse:
    """As if a token were four characters."""
    heard = _heard(question.messages) if question.messages else ""
    return ModelUse(name, len(heard) // 4 + 1, len(said) // 4 + 1)


def _read(script: str, folder: Path) -> list[Turn]:
    file = (folder / script).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise UnknownModel(f'"test/script/{script}" names a file outside the project folder {folder}.')
    try:
        turns = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UnknownModel(
            f'"test/script/{script}" names no script: there is no file {file}, and no test gave one of that name to '
            "ksl.testing.script."
        ) from None
    except (OSError, ValueError) as error:
        raise UnknownModel(f"{file} cannot be read as a script of turns: {error}") from None
    if not isinstance(turns, list) or not all(map(_is_turn, cast("list[Any]", turns))):
        raise UnknownModel(
            f"{file} is not a list of turns. A turn is a text, an object with text, calls or output, or a list of such "
            "objects, each with if_heard (a regular expression) but perhaps the last."
        )
    return cast("list[Turn]", turns)


def _is_turn(turn: Any) -> bool:
    if not isinstance(turn, list):
        return isinstance(turn, str | dict)
    return all(isinstance(case, dict) and _is_pattern(cast("Json", case)) for case in cast("list[Any]", turn))


def _is_pattern(case: Json) -> bool:
    try:
        re.compile(case.get("if_heard", ""))
    except (re.error, TypeError):
        return False
    return True
