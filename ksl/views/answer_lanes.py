"""Where each answer to a hook leads, as far as the canvas tells: the lanes of the decision that comes next. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ksl.views.lights import node_path
from ksl.views.values import JsonObject, is_object

_INNER = ("blocks", "steps")
_LANES = ("lanes", "handlers")
_ALONE = ("no_break", "always")


def answer_lanes(canvas: JsonObject, step: str, schema: JsonObject | None) -> list[tuple[str, str]]:
    """What is asked on each lane, and what comes on it: ("not consent.approved", "return 'declined'").

    Shape:   `canvas` as `ksl.views.canvas` answers it, `step` the hook's id, `schema` that of its payload. Empty where
             the node behind the hook is no decision, or its condition names no field of the payload.
    """
    scope, _, node = node_path(step).rpartition("/")
    shown = canvas if not scope else canvas.get("insides", {}).get(scope)
    if not is_object(shown):
        return []
    decision, after = _behind(shown["blocks"], node, ()) or (None, ())
    if decision is None or decision.get("block") != "decision" or not _asks_for(decision, schema):
        return []
    return [
        (lane["label"], _first(lane["blocks"]) or _first(after) or "the end") for lane in decision["lanes"]
    ]


def _behind(
    blocks: Sequence[JsonObject], node: str, after: Sequence[JsonObject]
) -> tuple[JsonObject | None, Sequence[JsonObject]] | None:
    """The block that control comes to behind a node, and those that follow it; None where the node is not here."""
    for place, block in enumerate(blocks):
        rest: Sequence[JsonObject] = [*blocks[place + 1 :], *after]
        if block.get("id") == node:
            return (rest[0], rest[1:]) if rest else (None, ())
        loops = block.get("block") == "loop"
        for inner in _sequences(block):
            # Behind the last block of a loop comes its first again, or what is behind the loop.
            if (found := _behind(inner, node, () if loops else rest)) is not None:
                return found
    return None


def _sequences(block: JsonObject) -> list[Sequence[JsonObject]]:
    found: list[Sequence[JsonObject]] = [block[name] for name in _INNER if block.get(name)]
    for name in _LANES:
        found += [lane["blocks"] for lane in block.get(name) or ()]
    return found + [block[name]["blocks"] for name in _ALONE if block.get(name)]


def _asks_for(decision: JsonObject, schema: JsonObject | None) -> bool:
    """Whether the condition of a lane names a field of the payload."""
    fields: Any = (schema or {}).get("properties")
    if not is_object(fields):
        return False
    asked = " ".join([decision["label"], *(lane["label"] for lane in decision["lanes"])])
    named = set(re.findall(r"[.\[]\s*['\"]?(\w+)", asked)) | set(re.findall(r"\b(\w+)=", asked))
    return bool(named & set(fields))


def _first(blocks: Sequence[JsonObject]) -> str:
    """What is first on a way, in a few words; empty for a way without anything."""
    for block in blocks:
        match block.get("block"):
            case "step" | "wait":
                return str(block["id"])
            case "terminal":
                return f"{block['kind']} {block.get('label') or ''}".strip()
            case "decision":
                return f"decides {block['label']}"
            case "loop":
                return str(block["label"])
            case _:
                for inner in _sequences(block):
                    if first := _first(inner):
                        return first
    return ""
