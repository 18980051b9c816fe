"""Scripts that play a model, in files of a project and given by tests."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ksl.agent.scripted import check_test_model
from ksl.errors import UnknownModel
from ksl.testing import script

from tests.engine_fixture import World

CASES = [
    [{"if_heard": r"\b50[23]\b|down", "text": "An outage."}, {"if_heard": "^how", "text": "A question."}]
]


def flow(model: str) -> str:
    return dedent(f"""
        @workflow
        async def w(input: list[str]) -> list[str]:
            return [await prompt_llm(each, model={model!r}) for each in input]
    """)


@pytest.mark.parametrize("given", ["in a test", "in a file"])
async def test_a_turn_may_follow_from_what_was_heard(world: World, given: str) -> None:
    if given == "in a test":
        model = script("cases", [*CASES])
    else:
        (world.folder / "agents").mkdir()
        (world.folder / "agents" / "cases.json").write_text(json.dumps(CASES))
        model = "test/script/agents/cases.json"
    await world.load(flow(model))

    done = await world.run("w", ["It is DOWN.", "How so?", "503 again", "Somehow it is down."])

    assert done.output == ["An outage.", "A question.", "An outage.", "An outage."]
    await world.crash_everywhere(done.run_id)


async def test_what_fits_no_case_is_an_error_that_quotes_it(world: World) -> None:
    await world.load(flow(script("cases", [*CASES])))

    failed = await world.run("w", ["Hello there"])

    assert failed.error["code"] == "KSL800"
    assert "none of the 2 cases of turn 1 fits what was heard: 'Hello there'" in failed.error["message"]


@pytest.mark.parametrize("turns", ["{}", "[1]", '[[{"if_heard": "("}]]', '[["x"]]', "[[{}], 3]", "not json"])
def test_a_file_that_is_no_script_is_refused(tmp_path: Path, turns: str) -> None:
    (tmp_path / "script.json").write_text(turns)
    with pytest.raises(UnknownModel, match=r"script\.json"):
        check_test_model("script/script.json", folder=tmp_path)


def test_scripts_of_all_shapes_are_taken(tmp_path: Path) -> None:
    turns: list[Any] = ["text", {"output": 1}, [{"if_heard": "a", "text": "b"}, {"text": "c"}]]
    (tmp_path / "script.json").write_text(json.dumps(turns))
    check_test_model("script/script.json", folder=tmp_path)
