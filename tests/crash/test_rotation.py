"""The key is changed, and the process dies at each thing that it does on the way: every credential can be read."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ksl.records import CredentialPlace

from tests.crash.process import ROOT
from tests.crash.rotating import DIED, organization, project

pytestmark = [pytest.mark.crash, pytest.mark.slow]

PLACES = [CredentialPlace("slack", "project"), CredentialPlace("crm", "user", "ada")]
WHOLE = {"slack": b'"slack"', "crm": b'"crm"'}


async def fill(folder: Path, kind: str) -> None:
    store = None
    if kind == "organization":
        shelf = organization(folder)
    else:
        shelf, store = await project(folder)
    for place in PLACES:
        await shelf.put(place, {"token": (f'"{place.name}"'.encode(), True)}, now_ms=1)
    if store is not None:
        await store.close()


async def read(folder: Path, kind: str) -> dict[str, bytes]:
    store = None
    if kind == "organization":
        shelf = organization(folder)
    else:
        shelf, store = await project(folder)
    try:
        return {place.name: opened["token"] for place, opened in await shelf.open_all()}
    finally:
        if store is not None:
            await store.close()


def rotate(folder: Path, kind: str, point: int) -> int:
    return subprocess.run(
        [sys.executable, "-m", "tests.crash.rotating", str(folder), kind, str(point)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    ).returncode


@pytest.mark.parametrize("kind", ["project", "organization"])
def test_a_rotation_killed_at_any_point_leaves_every_credential_readable(tmp_path: Path, kind: str) -> None:
    asyncio.run(fill(tmp_path, kind))
    keys: set[int] = set()
    point = 1
    while (ended := rotate(tmp_path, kind, point)) == DIED:
        assert asyncio.run(read(tmp_path, kind)) == WHOLE, point
        keys.add(len((tmp_path / "key").read_text().split()))
        point += 1

    assert ended == 0
    assert point > 10
    assert len(keys) > 1  # it died before the file was written, and while two keys lay in it
    assert asyncio.run(read(tmp_path, kind)) == WHOLE
    assert len((tmp_path / "key").read_text().split()) == 1
