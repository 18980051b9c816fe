from __future__ import annotations

import re
from pathlib import Path

from ksl.api.app import create_app
from ksl.api.openapi import _MEANING  # pyright: ignore[reportPrivateUsage]  # which statuses are announced
from ksl.build.config import load_settings
from ksl.build.discover import Project
from ksl.runtime import Runtime

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
