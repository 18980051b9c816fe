from __future__ import annotations

from pathlib import Path

import pytest

from ksl import workflow
from ksl.build.discover import Project
from ksl.errors import UnknownWorkflow
from ksl.views.workflows import workflow_json, workflows_json


@workflow(slug="signup-pipeline", description="Greets new people.")
async def signup(input: int) -> str:
    return str(input)


@workflow
async def digest() -> None: ...


PROJECT = Project(Path(), workflows={"signup-pipeline": signup, "digest": digest})


def test_workflows_are_listed_by_slug_without_their_schemas() -> None:
    assert workflows_json(PROJECT) == {
        "workflows": [
            {"slug": "digest", "name": "Digest", "description": ""},
            {"slug": "signup-pipeline", "name": "Signup pipeline", "description": "Greets new people."},
        ]
    }


def test_one_workflow_is_shown_with_its_schemas() -> None:
    shown = workflow_json(PROJECT, "signup-pipeline")
    assert shown["input_schema"]["type"] == "integer"
    assert shown["output_schema"]["type"] == "string"


def test_an_unknown_slug_names_the_near_ones() -> None:
    with pytest.raises(UnknownWorkflow, match=r'"signup-pipelin".*Near names: signup-pipeline\.'):
        workflow_json(PROJECT, "signup-pipelin")
    with pytest.raises(UnknownWorkflow, match=r"There are: digest, signup-pipeline\."):
        workflow_json(PROJECT, "zzz")
    with pytest.raises(UnknownWorkflow, match="defines none yet"):
        workflow_json(Project(Path()), "zzz")
