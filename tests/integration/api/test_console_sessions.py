"""The console's page of a session, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.api.serving import serving
from tests.integration.api.visiting import text_in, visiting
from tests.tui.agents_project import prompted, write

pytest.importorskip("pydantic_ai")


async def test_a_call_that_nobody_answers_any_more_is_not_said_to_be_awaited(tmp_path: Path) -> None:
    async with serving(write(tmp_path)) as served, visiting(served) as visitor:
        made = await prompted(served, "careful", "Refund it.")
        page = f"sessions/{made['session_id']}"
        assert "no answer yet" in text_in(await visitor.get(page))
        await served.client.post(f"/runs/{made['run_id']}/cancel", json={})
        await served.runtime.settled(made["run_id"], timeout_s=20)
        told = text_in(await visitor.get(page))
        assert "no answer" in told
        assert "no answer yet" not in told
