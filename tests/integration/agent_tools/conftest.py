"""Engines over a log in memory (`world`) and over a real file (`disk`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine_fixture import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, sqlite=False)
    yield made
    await made.close()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, sqlite=True)
    yield made
    await made.close()
