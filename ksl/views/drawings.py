"""A canvas from its JSON to what is looked at. Drawn the same whoever made the JSON, this process or a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, assert_never

from ksl.build.canvas import Canvas, words
from ksl.build.canvas.blocks import Opaque, walk
from ksl.build.canvas.boxes import Boxes, boxes
from ksl.build.canvas.expand import expanded
from ksl.build.canvas.from_json import from_json
from ksl.build.canvas.glyphs import UNICODE
from ksl.build.canvas.lights import Light, Lights
from ksl.build.canvas.mermaid import mermaid
from ksl.build.canvas.outline import Item, Line, outline, outline_items, outline_lines
from ksl.build.canvas.svg import stylesheet, svg
from ksl.views.times import parse_rfc3339
from ksl.views.values import JsonObject

DrawnForm = Literal["tree", "boxes", "mermaid", "svg"]


def drawn(shown: JsonObject, form: DrawnForm, *, ascii: bool = False) -> str:
    """`shown` is what `ksl.views.canvas` answers. A file says in a comment when its source is not today's."""
    canvas, lights = _read(shown)
    told = drawn_from(shown)
    match form:
        case "tree":
            return outline(canvas, lights, ascii=ascii)
        case "boxes":
            return boxes(canvas, lights, ascii=ascii).text
        case "svg":
            return svg(canvas, lights) + (f"<!-- {told} -->\n" if told else "")
        case "mermaid":
            return (f"%% {told}\n" if told else "") + mermaid(canvas)
        case _:
            assert_never(form)


def drawn_lines(shown: JsonObject, *, ascii: bool = False) -> list[Line]:
    """The outline, each line with the node that it is about."""
    return outline_lines(*_read(shown), ascii=ascii)


def drawn_items(shown: JsonObject) -> list[Item]:
    """The outline as nested lists, for pages and those who hear them."""
    return outline_items(*_read(shown))


def drawn_boxes(shown: JsonObject, *, ascii: bool = False) -> Boxes:
    """With their width and height, for whoever has only so much room."""
    return boxes(*_read(shown), ascii=ascii)


def drawn_svg_alone(shown: JsonObject) -> str:
    """Without its style, for a page that serves `canvas_stylesheet()` itself."""
    return svg(*_read(shown), style=False)


def drawn_nodes(shown: JsonObject) -> JsonObject:
    """What a page changes in a drawing as the run goes on: by node, its `state`, what is `told` and `spoken` of it
    and the `sign` of its state.

    Opaque blocks, by the ids of their steps with spaces between, have a `state` alone.
    """
    canvas, lights = _read(shown)
    opaque = [block for block in walk(canvas.blocks) if isinstance(block, Opaque) and block.steps]
    blocks = {words.block_id(block): words.state_of(block, lights) for block in opaque}
    return {
        **{id: {"state": state, "told": "", "spoken": "", "sign": ""} for id, state in blocks.items()},
        **{id: _node(light) for id, light in (lights or {}).items()},
    }


def pending_node() -> JsonObject:
    """What `drawn_nodes` leaves out: one that nothing has reached."""
    return _node(words.PENDING)


def _node(light: Light) -> JsonObject:
    return {
        "state": light.state,
        "told": words.told(light),
        "spoken": words.spoken(light),
        "sign": UNICODE.states[light.state],
    }


def canvas_stylesheet() -> str:
    return stylesheet()


def drawn_from(shown: JsonObject) -> str:
    """For people: which version of the code a run's canvas is, where that is not today's. Empty otherwise."""
    if not shown.get("changed"):
        return ""
    return f"drawn from version {shown['run']['code_version']}; the source has changed since"


def _read(shown: JsonObject) -> tuple[Canvas, Lights | None]:
    # No drawing shows columns, which only the source text could tell.
    canvas = from_json(shown, "")
    insides = shown.get("insides", {})
    if insides:
        canvas = expanded(canvas, {path: from_json(inner, "") for path, inner in insides.items()})
    if "nodes" not in shown:
        return canvas, None
    lights = _lights(shown["nodes"], "")
    for path, inner in insides.items():
        lights |= _lights(inner["nodes"], f"{path}/")
    return canvas, lights


def _lights(nodes: Mapping[str, JsonObject], under: str) -> dict[str, Light]:
    return {
        f"{under}{id}": Light(
            state=node["state"],
            counts=node["counts"],
            tries=node["tries"],
            note=node["note"],
            started_at_ms=_moment(node["started_at"]),
            finished_at_ms=_moment(node["finished_at"]),
        )
        for id, node in nodes.items()
    }


def _moment(text: str | None) -> int | None:
    return None if text is None else parse_rfc3339(text)
