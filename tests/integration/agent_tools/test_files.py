from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ksl.agent.tool_set import ToolError
from ksl.agent.tools.files import FileTools
from ksl.agent.tools.folder import DEPTH_MAX, ENTRIES_MAX
from ksl.define.sandbox import Sandbox
from ksl.errors import MalformedDefinition

from tests.integration.agent_tools.places import Calls, place

SECRET = "a secret of the machine"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    file = tmp_path / "outside.txt"
    file.write_text(SECRET)
    return file


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / ".ksl" / "workspaces" / "desk"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def call(tmp_path: Path, workspace: Path) -> Calls:
    return Calls(FileTools(Sandbox("desk")), tmp_path)


async def test_files_are_written_read_edited_listed_found_and_deleted(call: Calls, workspace: Path) -> None:
    await call("write", path="notes/today.md", content="one\nTwo\nthree\n")
    assert await call("read", path="notes/today.md") == "one\nTwo\nthree\n"
    await call("edit", path="./notes//today.md", old="Two", new="2")
    assert (workspace / "notes" / "today.md").read_text() == "one\n2\nthree\n"
    assert await call("list") == "notes/"
    assert await call("list", path="notes") == "notes/today.md  12 bytes"
    assert await call("search", text="THREE") == "notes/today.md:3: three"
    await call("delete", path="notes/today.md")
    await call("delete", path="notes")
    assert await call("list") == "nothing is in it"
    assert list(workspace.iterdir()) == []


async def test_a_long_file_is_read_in_pieces_and_says_so(call: Calls, workspace: Path) -> None:
    (workspace / "long.txt").write_text("".join(f"line {n}\n" for n in range(1, 101)))
    shown = await call("read", path="long.txt", first_line=10, lines=2)
    assert shown == "line 10\nline 11\n[lines 10 to 11 of 100]"
    (workspace / "wide.txt").write_text("x" * 70_000)
    assert "[cut after 60,000 characters of 70,000" in await call("read", path="wide.txt")
    with pytest.raises(ToolError, match="has 100 lines"):
        await call("read", path="long.txt", first_line=101)


@pytest.mark.parametrize(
    "path", ["../outside.txt", "a/../../outside.txt", "..", "a/..", "../../../../../etc/passwd"]
)
@pytest.mark.parametrize("tool", ["read", "write", "edit", "list", "search", "delete"])
async def test_no_path_climbs_out(call: Calls, outside: Path, workspace: Path, tool: str, path: str) -> None:
    (workspace / "a").mkdir()
    with pytest.raises(ToolError, match=r"has '\.\.' in it"):
        await call(tool, **_arguments(tool, path))
    assert outside.read_text() == SECRET


@pytest.mark.parametrize("tool", ["read", "write", "edit", "list", "search", "delete"])
async def test_no_absolute_path_is_taken(call: Calls, outside: Path, tool: str) -> None:
    with pytest.raises(ToolError, match="absolute path"):
        await call(tool, **_arguments(tool, str(outside)))
    assert outside.read_text() == SECRET


@pytest.mark.parametrize("tool", ["read", "write", "edit"])
async def test_a_link_to_a_file_outside_is_not_followed(
    call: Calls, outside: Path, workspace: Path, tool: str
) -> None:
    (workspace / "link").symlink_to(outside)
    with pytest.raises(ToolError, match="link"):
        await call(tool, **_arguments(tool, "link"))
    assert outside.read_text() == SECRET


@pytest.mark.parametrize("tool", ["read", "write", "edit", "list", "search", "delete"])
async def test_a_link_to_a_folder_outside_is_not_followed(
    call: Calls, outside: Path, workspace: Path, tool: str
) -> None:
    (workspace / "link").symlink_to(outside.parent, target_is_directory=True)
    path = "link" if tool in ("list", "search") else "link/outside.txt"
    with pytest.raises(ToolError, match="link"):
        await call(tool, **_arguments(tool, path))
    assert outside.read_text() == SECRET


@pytest.mark.parametrize("tool", ["read", "write", "edit"])
async def test_a_second_name_of_a_file_outside_is_refused(
    call: Calls, outside: Path, workspace: Path, tool: str
) -> None:
    os.link(outside, workspace / "hard")
    with pytest.raises(ToolError, match="hard link"):
        await call(tool, **_arguments(tool, "hard"))
    assert outside.read_text() == SECRET


async def test_a_search_looks_at_nothing_behind_links(call: Calls, outside: Path, workspace: Path) -> None:
    (workspace / "link").symlink_to(outside)
    (workspace / "folder").symlink_to(outside.parent, target_is_directory=True)
    os.link(outside, workspace / "hard")
    assert await call("search", text="secret") == "nothing was found"


async def test_a_deleted_link_leaves_what_it_points_at(call: Calls, outside: Path, workspace: Path) -> None:
    (workspace / "link").symlink_to(outside)
    await call("delete", path="link")
    assert outside.read_text() == SECRET
    assert not (workspace / "link").is_symlink()


@pytest.mark.parametrize("tool", ["read", "write", "edit"])
async def test_pipes_sockets_and_devices_are_not_opened(call: Calls, workspace: Path, tool: str) -> None:
    os.mkfifo(workspace / "pipe")  # to open it would wait for ever
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(workspace / "socket"))
    names = ["pipe", "socket"]
    if os.geteuid() == 0:
        os.mknod(workspace / "zero", 0o666 | 0o020000, os.makedev(1, 5))
        names.append("zero")
    for name in names:
        with pytest.raises(ToolError, match="a device, a pipe or a socket"):
            await call(tool, **_arguments(tool, name))


async def test_a_workspace_that_is_itself_a_link_is_refused(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / ".ksl" / "workspaces"
    root.mkdir(parents=True)
    (root / "desk").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ToolError, match="cannot be used"):
        await Calls(FileTools(Sandbox("desk")), tmp_path)("read", path=outside.name)


@contextmanager
def _again_and_again(swap: Callable[[], None]) -> Generator[None]:
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            swap()

    swapping = threading.Thread(target=work)
    swapping.start()
    try:
        yield
    finally:
        done.set()
        swapping.join()


async def test_a_folder_that_turns_into_a_link_and_back_never_leads_out(
    call: Calls, outside: Path, workspace: Path
) -> None:
    (workspace / "real").mkdir()
    (workspace / "real" / "outside.txt").write_text("inside")

    def swap() -> None:
        (workspace / "way").symlink_to(outside.parent, target_is_directory=True)
        (workspace / "way").unlink()
        os.rename(workspace / "real", workspace / "way")
        os.rename(workspace / "way", workspace / "real")

    read: set[str] = set()
    with _again_and_again(swap):
        while "inside" not in read:  # it was met as a folder too
            for _ in range(300):
                try:
                    read.add(await call("read", path="way/outside.txt"))
                except ToolError:
                    continue  # not there at the moment, or a link
    assert read == {"inside"}


async def test_a_write_to_a_name_that_turns_into_a_link_stays_inside(
    call: Calls, outside: Path, workspace: Path
) -> None:
    def swap() -> None:
        (workspace / "new").symlink_to(outside)
        os.replace(workspace / "new", workspace / "file")

    wrote = False
    with _again_and_again(swap):
        for _ in range(300):
            try:
                await call("write", path="file", content="mine")
                wrote = True
            except ToolError:
                pass  # a link at the moment
            (workspace / "file").unlink(missing_ok=True)
    assert wrote
    assert outside.read_text() == SECRET


async def test_a_file_over_its_quota_is_refused_and_nothing_is_written(
    tmp_path: Path, workspace: Path
) -> None:
    call = Calls(FileTools(Sandbox("desk", file_bytes_max=1_000, set_bytes_max=2_500)), tmp_path)
    with pytest.raises(ToolError, match="would have 1,001 bytes; a file may have 1,000"):
        await call("write", path="big", content="x" * 1_001)
    assert list(workspace.iterdir()) == []


async def test_a_set_over_its_quota_is_refused_until_something_goes(tmp_path: Path) -> None:
    call = Calls(FileTools(Sandbox("desk", file_bytes_max=1_000, set_bytes_max=2_500)), tmp_path)
    for name in ("a", "b"):
        await call("write", path=name, content="x" * 1_000)
    with pytest.raises(ToolError, match="holds 2,000 bytes, and may hold 2,500"):
        await call("write", path="c", content="x" * 1_000)
    await call("write", path="b", content="y" * 1_000)  # in place of what was there
    await call("delete", path="a")
    await call("write", path="c", content="x" * 1_000)


async def test_an_edit_cannot_blow_a_file_up(tmp_path: Path) -> None:
    call = Calls(FileTools(Sandbox("desk", file_bytes_max=1_000, set_bytes_max=2_500)), tmp_path)
    await call("write", path="a", content="x" * 999)
    with pytest.raises(ToolError, match="would have 1,998 bytes"):
        await call("edit", path="a", old="x" * 999, new="y" * 1_998)
    assert await call("read", path="a") == "x" * 999


async def test_a_huge_file_that_lies_there_is_not_read(call: Calls, workspace: Path) -> None:
    with (workspace / "huge").open("wb") as file:
        file.truncate(10 * 1024**3)
    with pytest.raises(ToolError, match="10,737,418,240 bytes; at most"):
        await call("read", path="huge")
    with pytest.raises(ToolError, match="may hold"):
        await call("write", path="small", content="x")


async def test_files_without_number_are_refused(call: Calls, workspace: Path) -> None:
    for n in range(ENTRIES_MAX):
        (workspace / f"f{n}").touch()
    with pytest.raises(ToolError, match="too many files"):
        await call("write", path="one-more", content="x")


async def test_a_path_is_only_so_deep(call: Calls) -> None:
    await call("write", path="d/" * (DEPTH_MAX - 1) + "file", content="x")
    with pytest.raises(ToolError, match="names deep"):
        await call("write", path="d/" * DEPTH_MAX + "file", content="x")


async def test_folders_deeper_than_a_path_may_be_count_as_too_much(call: Calls, workspace: Path) -> None:
    (workspace / "/".join("d" * (DEPTH_MAX + 2))).mkdir(parents=True)
    with pytest.raises(ToolError, match="too deep"):
        await call("write", path="file", content="x")


async def test_a_binary_file_is_told_by_its_size(call: Calls, workspace: Path) -> None:
    (workspace / "logo.png").write_bytes(b"\x89PNG\x00\x01")
    with pytest.raises(ToolError, match=r"binary file \(6 bytes\)"):
        await call("read", path="logo.png")
    assert await call("search", text="PNG") == "nothing was found"


async def test_names_that_are_no_text_are_listed(call: Calls, workspace: Path) -> None:
    Path(os.fsdecode(os.fsencode(workspace) + b"/caf\xe9")).write_text("x")
    assert await call("list") == "caf?  1 bytes"


async def test_an_edit_wants_text_that_is_there_once(call: Calls) -> None:
    await call("write", path="a", content="one two one")
    with pytest.raises(ToolError, match="is in it 2 times"):
        await call("edit", path="a", old="one", new="1")
    with pytest.raises(ToolError, match="is not in it"):
        await call("edit", path="a", old="three", new="3")
    assert await call("read", path="a") == "one two one"


@pytest.mark.parametrize(("old", "new"), [("b", "B"), ("b", "b and c"), ("b\n", "b\nb2\n")])
async def test_another_attempt_at_an_edit_changes_nothing_more(
    tmp_path: Path, workspace: Path, old: str, new: str
) -> None:
    tools = FileTools(Sandbox("desk"))
    (workspace / "list").write_text("a\nb\n")
    arguments = {"path": "list", "old": old, "new": new}
    await tools.call("edit", arguments, place(tmp_path))
    after = (workspace / "list").read_text()
    assert "already" in await tools.call("edit", arguments, place(tmp_path))
    assert (workspace / "list").read_text() == after == "a\nb\n".replace(old, new)


async def test_what_a_killed_write_left_is_used_by_its_next_attempt(tmp_path: Path, workspace: Path) -> None:
    scratch = workspace.parent / ".writing"
    scratch.mkdir()
    (scratch / hashlib.sha256(b"key-1").hexdigest()).write_text("half of something longer")
    await FileTools(Sandbox("desk")).call(
        "write", {"path": "a", "content": "x"}, place(tmp_path, key="key-1")
    )
    assert list(scratch.iterdir()) == []
    assert (workspace / "a").read_text() == "x"


async def test_arguments_that_do_not_fit_are_told(call: Calls) -> None:
    with pytest.raises(ToolError, match="missing required field `content`"):
        await call("write", path="a")
    with pytest.raises(ToolError, match="unknown field `mode`"):
        await call("write", path="a", content="", mode="0777")


async def test_each_tool_has_a_schema_of_its_arguments(tmp_path: Path) -> None:
    offer = await FileTools(Sandbox("desk")).offer(place(tmp_path))
    assert [each.name for each in offer.tools] == ["read", "write", "edit", "list", "search", "delete"]
    for each in offer.tools:
        assert each.schema["type"] == "object"
        assert each.schema["additionalProperties"] is False


def test_a_set_is_named_by_a_slug() -> None:
    for name in ("../up", "a/b", ".", "", ".writing"):
        with pytest.raises(MalformedDefinition):
            Sandbox(name)


def _arguments(tool: str, path: str) -> dict[str, str]:
    more = {
        "write": {"content": "mine"},
        "edit": {"old": "secret", "new": "mine"},
        "search": {"text": "secret"},
    }
    return {"path": path, **more.get(tool, {})}
