"""A hook whose link cannot be shown: the inbox lists it, says why there is no link, and answers it."""

from __future__ import annotations

from pathlib import Path

from ksl.tui.app import KslApp
from ksl.tui.hooks import HooksScreen

from tests.integration.api.serving import serving
from tests.tui.app import shown, text_of, until


def told_to(app: KslApp) -> list[str]:
    """Beside a pane a message is broken into pieces, so it is looked at before it is drawn."""
    return [each.message for each in app._notifications]  # pyright: ignore[reportPrivateUsage]


async def test_a_hook_without_a_link_is_listed_and_copying_it_says_why(folder: Path) -> None:
    async with serving(folder) as before:
        await before.asked("refund-approval", {"id": "o-115", "cents": 1204})
    (folder / ".ksl" / "hook-keys").rename(folder / "moved")
    async with serving(folder) as served, shown(served) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, HooksScreen) and app.screen.loaded)
        await until(pilot, lambda: "Refund o-115?" in text_of(app))
        await pilot.press("u")
        await until(pilot, lambda: any("is not in the file hook-keys" in text for text in told_to(app)))
        assert app.clipboard == ""
