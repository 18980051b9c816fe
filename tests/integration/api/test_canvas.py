from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.integration.api.serving import Served


async def test_a_canvas_is_had_as_json_and_as_mermaid(served: Served) -> None:
    slug = next(iter(sorted(served.runtime.project.workflows)))
    found = await served.client.get(f"/workflows/{slug}/canvas")
    assert (found.status_code, found.json()["workflow"]) == (200, slug)
    chart = await served.client.get(f"/workflows/{slug}/canvas?format=mermaid")
    assert chart.headers["content-type"].startswith("text/plain")
    assert chart.text.startswith("flowchart TD\n")


async def test_a_form_that_cannot_be_had_is_refused(served: Served) -> None:
    slug = next(iter(served.runtime.project.workflows))
    answer = await served.client.get(f"/workflows/{slug}/canvas?format=pdf")
    assert answer.status_code == 400
    assert "json, mermaid or svg" in answer.text


async def test_a_canvas_is_had_as_a_picture_that_may_load_and_run_nothing(served: Served) -> None:
    slug = next(iter(sorted(served.runtime.project.workflows)))
    picture = await served.client.get(f"/workflows/{slug}/canvas?format=svg")
    assert picture.status_code == 200
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert ET.fromstring(picture.text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<style>" in picture.text


async def test_the_canvas_of_an_unknown_workflow_is_not_found(served: Served) -> None:
    assert (await served.client.get("/workflows/nowhere/canvas")).status_code == 404
