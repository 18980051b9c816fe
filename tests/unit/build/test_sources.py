"""Sources are found wherever a project makes them, and told of when they can never fire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksl.build.discover import Project, discover, unload

HEAD = "from ksl import CronSource, WebhookSource, workflow\n"
FLOW = HEAD + "@workflow\nasync def greet(input: dict[str, int]) -> None: ...\n"

Load = Callable[[dict[str, str]], Project]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    loaded: list[Project] = []

    def loading(files: dict[str, str]) -> Project:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        loaded.append(discover(tmp_path))
        return loaded[-1]

    yield loading
    for project in loaded:
        unload(project)


def test_a_source_without_a_name_is_found_in_triggers_and_in_workflows(load: Load) -> None:
    project = load(
        {
            "workflows/flow.py": FLOW + 'WebhookSource("one").attach(greet)\n',
            "triggers/two.py": HEAD
            + 'from workflows.flow import greet\nnamed = WebhookSource("two").attach(greet)\n',
        }
    )

    project.raise_if_broken()
    assert sorted(project.triggers) == ["one", "two"]


def test_two_sources_with_one_slug_are_told_of_with_both_places(load: Load) -> None:
    project = load(
        {
            "triggers/a.py": HEAD + '\nWebhookSource("same")\n',
            "triggers/b.py": HEAD + 'CronSource("same", "@daily")\n',
        }
    )

    (duplicate,) = project.duplicates
    assert str(duplicate) == "trigger 'same' is defined at triggers/a.py:3 and again at triggers/b.py:2"


def test_a_source_of_a_module_that_failed_is_not_there(load: Load) -> None:
    project = load({"triggers/a.py": HEAD + 'WebhookSource("lost")\nraise ValueError("no")\n'})

    assert project.triggers == {}
    assert [failure.error for failure in project.failures] == ["ValueError: no"]


def test_an_error_of_ksls_own_is_told_in_its_own_words_with_the_lines_that_led_there(load: Load) -> None:
    made = 'def make(slug: str) -> None:\n    WebhookSource(slug, endpoint="a b")\n\nmake("signup")\n'
    project = load({"triggers/a.py": HEAD + made})

    [failure] = project.failures
    assert failure.code == "KSL301"
    assert failure.error.startswith("WebhookSource signup:")
    told = [line.strip() for line in failure.traceback.splitlines() if "^" not in line]
    assert told[0].startswith('File "')
    assert (told[1], told[-1]) == ('make("signup")', 'WebhookSource(slug, endpoint="a b")')
    assert str(failure).startswith(f"triggers/a.py:{failure.line} KSL301 WebhookSource signup:")


def test_a_source_of_a_workflow_that_did_not_load_is_told_of_at_its_line(load: Load) -> None:
    project = load(
        {
            "triggers/a.py": HEAD
            + "async def loose(input: int) -> None: ...\n"
            + "hidden = [workflow(loose)]\n"
            + 'WebhookSource("signup").attach(hidden[0])\n'
        }
    )

    (failure,) = project.failures
    assert (failure.file, failure.line, failure.code) == ("triggers/a.py", 4, "KSL301")


def test_a_payload_without_a_schema_is_told_of(load: Load) -> None:
    project = load(
        {
            "triggers/a.py": HEAD
            + "class Odd: ...\n"
            + 'WebhookSource("odd", payload=Odd)\n'
            + 'WebhookSource("fine")\n'
        }
    )

    (failure,) = project.failures
    assert (failure.file, failure.line, failure.code) == ("triggers/a.py", 3, "KSL010")
    assert list(project.triggers) == ["fine"]
