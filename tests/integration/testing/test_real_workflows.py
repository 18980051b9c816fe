"""The example workflows with their real actions: files and a database are written, in threads, again after each cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ksl import Workflow
from ksl.testing import Environment, crash_test, environment

from actions.mail import write_letter
from actions.shop import open_shop, ship_parcel
from workflows.delayed_followup import delayed_followup
from workflows.fulfil_order import fulfil_order
from workflows.onboarding import onboarding


@pytest.fixture
def shop(tmp_path: Path) -> str:
    open_shop(tmp_path, stock={"kite": (1500, 3)}, customers={"Ada": (4000, "DE"), "Nemo": (9000, "AQ")})
    return str(tmp_path)


@pytest.mark.parametrize(("customer", "status"), [("Ada", "shipped"), ("Nemo", "cancelled")])
async def test_an_order_comes_to_the_same_end_from_every_cut(shop: str, customer: str, status: str) -> None:
    report = await crash_test(fulfil_order, {"folder": shop, "customer": customer, "item": "kite"})
    assert report.ok, str(report)
    assert report.effects >= 3
    async with environment() as env:
        run = await env.start(fulfil_order, {"folder": shop, "customer": customer, "item": "kite"})
        assert (await run.result()).status == status


async def test_parallel_branches_in_a_sub_workflow_come_to_the_same_end_from_every_cut(
    tmp_path: Path,
) -> None:
    report = await crash_test(onboarding, _newcomer(tmp_path))
    assert report.ok, str(report)
    assert report.trials > 5


async def test_the_same_holds_when_each_run_is_dropped_at_every_wait(tmp_path: Path, shop: str) -> None:
    stories: list[tuple[Workflow[Any, Any], dict[str, Any]]] = [
        (onboarding, _newcomer(tmp_path)),
        (fulfil_order, {"folder": shop, "customer": "Ada", "item": "kite"}),
    ]
    for flow, input in stories:
        async with environment(replay_at_every_wait=True) as env:
            await (await env.start(flow, input)).result()


async def test_a_week_of_waiting_for_a_reply_takes_no_time(tmp_path: Path) -> None:
    async with environment() as env:
        question = {"to": "bob@example.org", "subject": "Tea?", "text": "At five?", "wait": "1w"}
        run = await env.start(delayed_followup, {"folder": str(tmp_path), **question})
        await env.advance("6d")
        assert len(env.calls(write_letter)) == 1
        await env.advance("1d")
        letters = (await run.result()).letters
        assert len(letters) == 2
        assert all(Path(letter).exists() for letter in letters)


async def test_a_compensation_is_tested_with_one_stub(shop: str) -> None:
    def setup(env: Environment) -> None:
        env.stub(ship_parcel, raises=ConnectionError("no carrier"))

    report = await crash_test(
        fulfil_order, {"folder": shop, "customer": "Ada", "item": "kite", "quantity": 2}, setup=setup
    )
    assert report.ok, str(report)


def _newcomer(folder: Path) -> dict[str, Any]:
    (folder / "companies.csv").write_text(
        "domain,name,industry,employees,country\nexample.org,Example,toys,40,DE\n"
    )
    (folder / "notes").mkdir(exist_ok=True)
    return {"folder": str(folder), "name": "Ada", "email": "ada@example.org"}
