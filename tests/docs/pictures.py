"""The pictures of the docs, drawn by ksl itself: `make pictures` writes them, a test compares them.

Those of the terminal's screens and of the console are taken of a real server, and no two are alike: of them the test
knows the names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from ksl.build.canvas import canvas_of
from ksl.build.canvas.lights import Light, Lights, NodeState
from ksl.build.canvas.svg import svg
from ksl.build.discover import Project, discover, unload

from tests.browser import pictures as console
from tests.tui import pictures

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"
BARE = ("daily-digest", "enrich-lead", "fulfil-order", "llm-triage", "publish-with-approval", "repo-report")


def drawn(project: Project) -> Iterator[tuple[str, str]]:
    """Names of files in `docs/pictures`, with what belongs in them."""
    for slug in BARE:
        yield f"canvas-{slug}.svg", svg(canvas_of(project, slug))
    yield "canvas-fulfil-order-run.svg", svg(canvas_of(project, "fulfil-order"), _taken_back())


def _taken_back() -> Lights:
    """An order whose parcel could not be sent, while what was done before is being undone."""
    return {
        "stock-of": _light("done", 40),
        "reserve-stock": _light("done", 210),
        "charge-customer": _light("done", 1_400, tries=2),
        "ship-parcel": _light("caught", 9_000, tries=3, note="ConnectionError"),
        "note-backorder": _light("skipped"),
        "refund-customer": _light("running"),
    }


def _light(state: NodeState, took_ms: int | None = None, *, tries: int = 1, note: str = "") -> Light:
    return Light(state, {state: 1}, tries, note, 0 if took_ms is not None else None, took_ms)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    project = discover(ROOT)
    try:
        project.raise_if_broken()
        made = dict(drawn(project))
    finally:
        unload(project)
    made |= asyncio.run(pictures.taken())
    for stale in {path.name for path in FOLDER.glob("*.svg")} - set(made):
        (FOLDER / stale).unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for name, picture in asyncio.run(console.taken()).items():
        (FOLDER / name).write_bytes(picture)


if __name__ == "__main__":
    main()
