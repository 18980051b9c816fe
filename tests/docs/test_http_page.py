from __future__ import annotations

import re
from pathlib import Path

from ksl.api.app import create_app
from ksl.api.openapi import _MEANING  # pyright: ignore[reportPrivateUsage]  # which statuses are announced
from ksl.api.shapes import RunShape
from ksl.build.config import load_settings
from ksl.build.discover import Project
from ksl.records import RunStatus
from ksl.runtime import Runtime
from ksl.views.runs import INCLUDES

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "http.md"


async def test_every_route_of_the_server_has_its_row_and_no_row_lacks_a_route(tmp_path: Path) -> None:
    (tmp_path / "ksl.toml").touch()
    runtime = await Runtime.open(tmp_path, load_settings(tmp_path), project=Project(tmp_path), serve=False)
    try:
        paths = create_app(runtime).openapi()["paths"]
    finally:
        await runtime.close()
    routes = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]

    listed = re.findall(r"^\| `((?:GET|POST|PATCH|DELETE) [^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted([*routes, "GET /openapi.json"])


def test_every_status_of_an_error_is_explained() -> None:
    explained = {int(status) for status in re.findall(r"^\| (\d{3}) \|", PAGE.read_text(), re.MULTILINE)}
    assert explained == set(_MEANING)


def test_the_fields_of_a_run_are_those_that_it_is_answered_with() -> None:
    _, _, after = PAGE.read_text().partition("## A run in JSON\n\n`")
    told = [name.strip() for name in after.partition("`")[0].split(",")]
    assert told == [name for name in RunShape.model_fields if name not in INCLUDES]


def test_the_statuses_of_a_run_are_told_of() -> None:
    _, _, section = PAGE.read_text().partition("## A run in JSON")
    assert {status.value for status in RunStatus} <= set(re.findall(r"`(\w+)`", section))
