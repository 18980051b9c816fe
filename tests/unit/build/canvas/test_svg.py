from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ksl.build.canvas.lights import Light
from ksl.build.canvas.svg import icons, stylesheet, svg
from ksl.build.canvas.svg.paper import CODE, INPUTS_MOST, NAME, SMALL, Paper
from ksl.build.canvas.svg.text_width import code_width, text_width
from ksl.build.canvas.words import PRESSING

from tests.property.trees import LABELS, tree
from tests.unit.build.canvas.drawing import drawn

SVG = "{http://www.w3.org/2000/svg}"


def picture(folder: Path, body: str, **lights: Light) -> ET.Element:
    return ET.fromstring(svg(drawn(folder, body), lights or None))


def group(root: ET.Element, id: str) -> ET.Element:
    return next(each for each in root.iter(f"{SVG}g") if each.get("data-id") == id)


def light(**changes: object) -> Light:
    values: dict[str, object] = {
        "state": "done",
        "counts": {},
        "tries": 1,
        "note": "",
        "started_at_ms": None,
        "finished_at_ms": None,
    }
    return Light(**(values | changes))  # pyright: ignore[reportArgumentType]


def test_a_node_can_be_found_and_is_told_to_those_who_do_not_see_it(tmp_path: Path) -> None:
    lit = light(tries=2, started_at_ms=1_000, finished_at_ms=2_400)
    root = picture(tmp_path, "await a.run(xs, to=xs[0])", a=lit)
    assert root.get("role") == "graphics-document"
    node = group(root, "a")
    assert (node.get("tabindex"), node.get("class")) == ("0", "node action state-done noted")
    assert node.get("aria-label") == "a, action, done in 1.4 s, 2 tries"
    assert node.findtext(f"{SVG}title") == "a\nxs\nto = xs[0]\ndone in 1.4 s, 2 tries"
    use = node.find(f"{SVG}use")
    assert use is not None
    assert use.get("href") == "#ksl-done"


def test_a_state_is_told_by_a_sign_and_not_by_colour_alone() -> None:
    assert set(icons.STATE) == set(PRESSING)
    assert len(set(icons.STATE.values())) == len(icons.STATE)
    css = stylesheet()
    coloured = {state for state in PRESSING if f".state-{state}" in css}
    assert coloured == set(PRESSING)


def test_without_lights_there_are_no_states(tmp_path: Path) -> None:
    root = picture(tmp_path, "await a.run()")
    assert group(root, "a").get("aria-label") == "a, action"
    assert not list(root.iter(f"{SVG}use"))
    assert "state-" not in "".join(each.get("class", "") for each in root.iter())


def test_a_node_that_nothing_lights_is_pending(tmp_path: Path) -> None:
    root = picture(tmp_path, "await a.run()\nawait b.run()", a=light())
    assert group(root, "b").get("class") == "node action state-pending"


def test_a_note_is_cut_to_its_box_and_told_in_full(tmp_path: Path) -> None:
    root = picture(tmp_path, "await a.run()", a=light(state="failed", note="ConnectionResetError: " * 5))
    node = group(root, "a")
    note = next(each for each in node.iter(f"{SVG}text") if each.get("class") == "note")
    assert note.text is not None
    assert note.text.endswith("…")
    assert len(note.text) <= int(note.get("data-most", "0"))
    assert "ConnectionResetError: " * 4 in (node.get("aria-label") or "")


def test_places_do_not_depend_on_states(tmp_path: Path) -> None:
    """So that a page may change a node's class, sign and note and nothing else."""
    canvas = drawn(tmp_path, "await a.run()\nfor x in xs:\n    await b.run()")
    boxes = [
        re.findall(r'<rect class="box"[^>]*>', svg(canvas, lights))
        for lights in (None, {}, {"a": light(note="x" * 200), "b": light(counts={"done": 700, "failed": 12})})
    ]
    assert boxes[0] == boxes[1] == boxes[2]


def test_an_opaque_block_is_lit_by_the_most_pressing_of_its_steps(tmp_path: Path) -> None:
    body = "await asyncio.wait([a.run(), b.run()])"
    lights = {"a": light(), "b": light(state="failed")}
    root = ET.fromstring(svg(drawn(tmp_path, body), lights))
    (frame,) = [each for each in root.iter(f"{SVG}g") if each.get("class", "").startswith("frame")]
    assert frame.get("class") == "frame opaque state-failed"
    assert group(root, "a").get("class") == "node row action state-done"


def test_the_style_is_in_the_file_or_left_to_the_page(tmp_path: Path) -> None:
    canvas = drawn(tmp_path, "await a.run()")
    assert stylesheet() in svg(canvas)
    bare = svg(canvas, {}, style=False)
    assert "<style" not in bare
    assert " style=" not in bare, "a page's policy may forbid it"


def test_every_colour_is_a_variable_that_a_page_can_set() -> None:
    css = re.sub(r"/\*.*?\*/", "", stylesheet(), flags=re.DOTALL)
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", css)
    for selector, body in rules:
        colours = re.findall(r"#[0-9a-f]{3,8}\b|rgb\(", body)
        assert not colours or ":where(" in selector, selector
    light, dark, chosen_dark = themes()
    assert set(light) == set(dark)
    assert dark == chosen_dark
    assert set(re.findall(r"var\(--canvas-([a-z-]+)\)", css)) == set(light)


def themes() -> list[dict[str, str]]:
    """Light, dark, and dark where it is chosen."""
    css = re.sub(r"/\*.*?\*/", "", stylesheet(), flags=re.DOTALL)
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", css)
    return [
        dict(re.findall(r"--canvas-([a-z-]+): ([^;]+);", body))
        for selector, body in rules
        if ":where(" in selector
    ]


def test_what_is_said_of_a_state_can_be_read() -> None:
    """At least 4.5 to 1, what accessibility guidelines ask of small text."""
    for colours in themes():
        box, ground = light_of(colours["box"]), light_of(colours["ground"])
        share = float(colours["tint"].removesuffix("%")) / 100
        for state in ("done", "running", "waiting", "failed", "caught", "quiet"):
            washed = light_of(colours[state], over=colours["box"], share=share)
            assert contrast(light_of(colours[state]), washed) >= 4.5, state
        for text, under in (("ink", box), ("soft", box), ("soft", ground), ("error", ground)):
            assert contrast(light_of(colours[text]), under) >= 4.5, text
        assert contrast(light_of(colours["line"]), ground) >= 3, "lines"


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def light_of(colour: str, *, over: str = "#000000", share: float = 1.0) -> float:
    """How bright a colour is, from 0 to 1, where this share of it lies over another."""
    parts = [
        (int(colour[at : at + 2], 16) * share + int(over[at : at + 2], 16) * (1 - share)) / 255
        for at in (1, 3, 5)
    ]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_moves_for_those_who_asked_for_that() -> None:
    before, _, after = stylesheet().partition("@media (prefers-reduced-motion: no-preference)")
    assert "animation" not in before
    assert "animation" in after


@pytest.mark.parametrize("text", LABELS)
def test_a_text_fits_its_box(text: str) -> None:
    paper = Paper()
    for lines in (1, 2):
        face = paper.label(text, lines=lines)
        assert all(code_width(line, CODE) + 15 <= face.width for line in face.lines)
    for kind in ("loop", "try"):
        face = paper.title(kind, text)
        assert all(code_width(line, CODE) + 36 <= face.width for line in face.lines)


def test_the_texts_of_nodes_fit_their_boxes() -> None:
    for seed in range(30):
        for node in ET.fromstring(svg(tree(seed))).iter(f"{SVG}g"):
            box = node.find(f"{SVG}rect")
            if box is None or node.get("data-id") is None:
                continue
            right = int(box.get("x", "0")) + int(box.get("width", "0"))
            for text in node.findall(f"{SVG}text"):
                words = text.text or ""
                sizes = {"name": (text_width, NAME), "inputs": (code_width, SMALL)}
                measure, size = sizes.get(text.get("class", ""), (code_width, CODE))
                assert int(text.get("x", "0")) + measure(words, size) <= right - 20, words


def test_many_inputs_are_told_by_name_and_all_of_them_in_the_title(tmp_path: Path) -> None:
    root = picture(tmp_path, "await a.run(first=xs[0].something.long, second=xs[1].something.else_)")
    node = group(root, "a")
    inputs = next(each for each in node.iter(f"{SVG}text") if each.get("class") == "inputs")
    assert inputs.text == "first, second"
    assert text_width("first, second", SMALL) <= INPUTS_MOST
    assert "second = xs[1].something.else_" in (node.findtext(f"{SVG}title") or "")


def test_code_that_is_never_reached_is_told_of(tmp_path: Path) -> None:
    text = "".join(picture(tmp_path, "return\nawait b.run()").itertext())
    assert "never reached: b, line " in text


def test_what_a_program_is_made_of_comes_out_as_text(tmp_path: Path) -> None:
    root = picture(tmp_path, """if xs == "<script>alert('&')</script>":\n    await a.run('</title>"')""")
    assert "<script>alert('&')</script>" in "".join(root.itertext())
    assert not [each for each in root.iter() if each.tag.endswith("script")]
