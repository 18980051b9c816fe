"""What a project defines, with the JSON Schemas of what goes in and comes out."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ksl.errors import UnknownWorkflow
from ksl.views.values import JsonObject

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.define.workflow import Workflow


def workflows_json(project: Project) -> JsonObject:
    """`{"workflows": [...]}` by slug, without their schemas: a list is for choosing."""
    return {"workflows": [_summary(project.workflows[slug]) for slug in project.defined]}


def workflow_json(project: Project, slug: str) -> JsonObject:
    """UnknownWorkflow names the slugs that look alike."""
    workflow = project.workflows.get(slug)
    if workflow is None:
        raise unknown_workflow(slug, project.defined)
    return {
        **_summary(workflow),
        "input_schema": workflow.input_schema(),
        "output_schema": workflow.output_schema(),
    }


def source_text(project: Project, slug: str) -> str:
    """Of the file that the workflow is defined in, as it was loaded. UnknownWorkflow for one that has no canvas."""
    if slug not in project.tables:
        raise unknown_workflow(slug, project.defined)
    return project.tables[slug].source.text


def unknown_workflow(slug: str, known: list[str]) -> UnknownWorkflow:
    near = get_close_matches(slug, known, n=3, cutoff=0.5)
    if near:
        hint = f"Near names: {', '.join(near)}."
    elif known:
        hint = f"There are: {', '.join(sorted(known)[:10])}{' ...' if len(known) > 10 else '.'}"
    else:
        hint = "This project defines none yet."
    return UnknownWorkflow(f'No workflow has the slug "{slug}". {hint}')


def _summary(workflow: Workflow[Any, Any]) -> JsonObject:
    return {"slug": workflow.slug, "name": workflow.name, "description": workflow.description}
