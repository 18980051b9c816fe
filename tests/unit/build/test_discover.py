"""A project's modules are loaded, what they define is collected, and what is wrong is told with its place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksl.build.discover import Project, discover, unload
from ksl.errors import DuplicateSlug, ImportFailed, UnknownWorkflow

MAIL = "from ksl import action\n\n@action\nasync def send_mail(to: str) -> str:\n    return to\n"
ORDER = """\
from actions.mail import send_mail
from ksl import Context, workflow

@workflow
async def order(input: str, ctx: Context) -> str:
    await ctx.sleep(1)
    return await send_mail.run(to=input)
"""

Load = Callable[..., Project]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Write files by path and discover the project that they make."""
    projects: list[Project] = []

    def load(files: dict[str, str], **options: object) -> Project:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        projects.append(discover(tmp_path, **options))  # pyright: ignore[reportArgumentType]
        return projects[-1]

    yield load
    for project in reversed(projects):
        unload(project)


def test_definitions_are_found_by_slug_with_a_table_for_each_workflow(load: Load) -> None:
    project = load({"actions/mail.py": MAIL, "workflows/order.py": ORDER})
    project.raise_if_broken()
    assert list(project.workflows) == ["order"]
    assert list(project.actions) == ["send-mail"]
    assert [site.key for site in project.tables["order"].sites] == ["sleep", "send-mail"]


def test_an_empty_project_is_fine(load: Load) -> None:
    project = load({})
    project.raise_if_broken()
    assert (project.workflows, project.actions, project.agents, project.triggers) == ({}, {}, {}, {})


def test_a_definition_imported_elsewhere_is_one_definition(load: Load) -> None:
    project = load(
        {
            "actions/mail.py": MAIL,
            "workflows/order.py": ORDER,
            "workflows/all.py": "from workflows.order import *\n",
        }
    )
    assert project.duplicates == []
    assert project.actions["send-mail"] is sys.modules["workflows.all"].send_mail


def test_workflow_files_may_import_one_another_even_in_a_circle(load: Load) -> None:
    flow = (
        "from ksl import workflow\nimport workflows.{other} as other\n\n@workflow\n"
        "async def {name}() -> None:\n    await other.{other}.run()\n"
    )
    project = load(
        {
            f"workflows/{name}.py": flow.format(name=name, other=other)
            for name, other in (("one", "two"), ("two", "one"))
        }
    )
    project.raise_if_broken()
    assert [site.callee for site in project.tables["one"].sites] == ["two"]
    assert [site.callee for site in project.tables["two"].sites] == ["one"]


def test_modules_of_one_name_in_different_folders_do_not_clash(load: Load) -> None:
    project = load(
        {"actions/order.py": MAIL, "workflows/order.py": ORDER.replace("actions.mail", "actions.order")}
    )
    project.raise_if_broken()
    assert sys.modules["actions.order"] is not sys.modules["workflows.order"]


def test_nested_folders_and_packages_are_loaded_and_hidden_ones_are_not(load: Load) -> None:
    flow = "from ksl import workflow\n@workflow\nasync def {}() -> None: ...\n"
    project = load(
        {
            "workflows/a/b/deep.py": flow.format("deep"),
            "workflows/pack/__init__.py": flow.format("pack"),
            "workflows/pack/inner.py": "from . import pack\n" + flow.format("inner"),
            "workflows/.hidden.py": "1 / 0",
            "workflows/.git/x.py": "1 / 0",
            "workflows/__pycache__/x.py": "1 / 0",
            "workflows/notes.txt": "1 / 0",
        }
    )
    project.raise_if_broken()
    assert list(project.workflows) == ["deep", "pack", "inner"]


def test_the_folders_are_those_of_the_settings(load: Load) -> None:
    project = load(
        {"flows/order.py": ORDER, "actions/mail.py": MAIL, "workflows/bad.py": "1 / 0"},
        names=["flows", "actions"],
    )
    project.raise_if_broken()
    assert list(project.workflows) == ["order"]


def test_a_workflow_may_stand_outside_the_workflows_folder(load: Load) -> None:
    project = load(
        {"lib.py": ORDER, "actions/mail.py": MAIL, "workflows/order.py": "from lib import order\n"}
    )
    project.raise_if_broken()
    assert project.tables["order"].file == str(project.folder / "lib.py")
    assert [site.key for site in project.tables["order"].sites] == ["sleep", "send-mail"]


def test_what_fails_to_import_is_told_with_its_place_and_the_rest_loads(load: Load) -> None:
    project = load(
        {
            "actions/mail.py": MAIL,
            "workflows/order.py": ORDER,
            "workflows/syntax.py": "x = 1\ndef f(:\n",
            "workflows/divide.py": "import json\n\nx = json.loads('{')\n",
            "workflows/missing.py": "import no_such_thing\n",
            "workflows/leaves.py": "import sys\nsys.exit(3)\n",
            "workflows/nul.py": "x = '\0'\n",
        }
    )
    assert list(project.workflows) == ["order"]
    told = {failure.module: (failure.file, failure.line, failure.error) for failure in project.failures}
    assert told["workflows.syntax"] == ("workflows/syntax.py", 2, "SyntaxError: invalid syntax")
    assert told["workflows.divide"][:2] == ("workflows/divide.py", 3)
    assert told["workflows.missing"] == (
        "workflows/missing.py",
        1,
        "ModuleNotFoundError: No module named 'no_such_thing'",
    )
    assert told["workflows.leaves"] == ("workflows/leaves.py", 2, "SystemExit: 3")
    assert told["workflows.nul"][0] == "workflows/nul.py"
    assert list(told) == sorted(told)


def test_a_traceback_shows_the_projects_frames_only(load: Load) -> None:
    project = load(
        {
            "workflows/bad.py": "import lib\n\nlib.parse()\n",
            "lib.py": (
                "import json\n\ndef parse():\n    try:\n        json.loads('{')\n"
                "    except ValueError as error:\n        raise KeyError('no') from error\n"
            ),
        }
    )
    (failure,) = project.failures
    assert (failure.file, failure.line, failure.error) == ("lib.py", 7, "KeyError: 'no'")
    frames = [line for line in failure.traceback.splitlines() if line.lstrip().startswith("File ")]
    assert [str(project.folder) in frame for frame in frames] == [True, True, True]
    assert "direct cause" in failure.traceback


def test_what_imports_a_module_that_failed_is_told_in_one_line_of_its_own(load: Load) -> None:
    project = load(
        {
            "actions/mail.py": "1 / 0\n",
            "triggers/source.py": "import json\n\nfrom workflows.order import order\n",
            "workflows/order.py": ORDER,
        }
    )
    cause, *follow = project.failures
    assert (str(cause), bool(cause.traceback)) == (
        "actions/mail.py:1 ZeroDivisionError: division by zero",
        True,
    )
    assert [(str(each), each.traceback) for each in follow] == [
        ("triggers/source.py:3 NotLoaded: the module actions.mail does not load, see there", ""),
        ("workflows/order.py:1 NotLoaded: the module actions.mail does not load, see there", ""),
    ]


def test_a_malformed_definition_keeps_its_own_code(load: Load) -> None:
    project = load({"workflows/bad.py": "from ksl import workflow\n\n@workflow\ndef flow() -> None: ...\n"})
    (failure,) = project.failures
    assert (failure.code, failure.file, failure.line) == ("KSL010", "workflows/bad.py", 3)


def test_a_server_gets_one_error_that_lists_every_module_that_failed(load: Load) -> None:
    project = load({"workflows/one.py": "1 / 0\n", "workflows/two.py": "\n1 / 0\n"})
    with pytest.raises(ImportFailed) as raised:
        project.raise_if_broken()
    text = str(raised.value)
    assert "2 modules" in text
    assert "workflows/one.py:1 ZeroDivisionError" in text
    assert "workflows/two.py:2 ZeroDivisionError" in text


def test_two_definitions_of_one_kind_and_slug_are_an_error_naming_both_places(load: Load) -> None:
    project = load({"actions/mail.py": MAIL, "actions/post.py": "\n\n" + MAIL})
    (duplicate,) = project.duplicates
    assert (duplicate.first, duplicate.second) == ("actions/mail.py:3", "actions/post.py:5")
    assert project.actions["send-mail"] is sys.modules["actions.mail"].send_mail
    with pytest.raises(
        DuplicateSlug,
        match=r"action 'send-mail' is defined at actions/mail.py:3 and again at actions/post.py:5",
    ):
        project.raise_if_broken()


def test_two_definitions_of_one_slug_in_one_file_are_told_too(load: Load) -> None:
    flow = (
        "from ksl import workflow\n@workflow(slug='x')\nasync def one() -> None: ...\n"
        "@workflow(slug='x')\nasync def two() -> None: ...\n"
    )
    (duplicate,) = load({"workflows/x.py": flow}).duplicates
    assert (duplicate.first, duplicate.second) == ("workflows/x.py:2", "workflows/x.py:4")


def test_definitions_of_different_kinds_may_share_a_slug(load: Load) -> None:
    project = load(
        {
            "actions/order.py": MAIL.replace("send_mail", "order"),
            "workflows/order.py": ORDER.replace("mail import send_mail", "order import order as send_mail"),
        }
    )
    project.raise_if_broken()
    assert list(project.actions) == list(project.workflows) == ["order"]


def test_a_module_hidden_by_a_package_is_told(load: Load) -> None:
    (failure,) = load({"workflows/x.py": "", "workflows/x/__init__.py": ""}).failures
    assert (failure.file, failure.module) == ("workflows/x.py", "workflows.x")
    assert "hidden" in failure.error


def test_a_workflow_without_source_is_told_and_left_out(load: Load) -> None:
    text = (
        "from ksl import workflow\nspace = {}\nexec('async def flow() -> None: ...', space)\n"
        "flow = workflow(space['flow'])\n"
    )
    project = load({"workflows/x.py": text})
    (failure,) = project.failures
    assert failure.code == "KSL209"
    assert "source of flow is missing" in failure.error
    assert (project.workflows, project.tables) == ({}, {})


def test_the_code_version_follows_the_file_and_the_workflows_it_runs(load: Load) -> None:
    outer = (
        "from ksl import workflow\nfrom workflows.inner import inner\n@workflow\n"
        "async def outer() -> None:\n    await inner.run()\n"
    )
    inner = "from ksl import workflow\n@workflow\nasync def inner() -> None: ...\n"
    files = {"workflows/outer.py": outer, "workflows/inner.py": inner, "actions/mail.py": MAIL}

    def versions(changed: dict[str, str]) -> tuple[str, str]:
        project = load({**files, **changed})
        return project.code_version("outer"), project.code_version("inner")

    first = versions({})
    assert versions({}) == first
    assert versions({"actions/mail.py": MAIL + "#"}) == first
    changed = versions({"workflows/outer.py": outer + "#"})
    assert (changed[0] != first[0], changed[1] != first[1]) == (True, False)
    changed = versions({"workflows/inner.py": inner + "#"})
    assert (changed[0] != first[0], changed[1] != first[1]) == (True, True)


def test_the_code_version_of_an_unknown_workflow_is_refused(load: Load) -> None:
    with pytest.raises(UnknownWorkflow, match="'nothing'"):
        load({}).code_version("nothing")


def test_unloading_takes_the_project_out_of_the_process(load: Load) -> None:
    before = (list(sys.path), list(sys.meta_path))
    project = load({"actions/mail.py": MAIL, "workflows/order.py": ORDER})
    unload(project)
    assert (list(sys.path), list(sys.meta_path)) == before
    # Not all of sys.modules: loading imports parts of ksl that nothing had asked for yet.
    folder = str(project.folder)
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    assert not [file for file in files if file is not None and file.startswith(folder)]


def test_a_file_edited_after_loading_keeps_the_sites_it_was_loaded_with(load: Load, tmp_path: Path) -> None:
    project = load({"actions/mail.py": MAIL, "workflows/order.py": ORDER})
    (tmp_path / "workflows" / "order.py").write_text("\n\n" + ORDER)
    assert project.tables["order"].source.text == ORDER
    assert load({}).tables["order"].sites[0].line == project.tables["order"].sites[0].line + 2
