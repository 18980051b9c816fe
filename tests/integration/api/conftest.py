from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api.serving import WORKFLOWS, Served, serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(WORKFLOWS.lstrip())
    return tmp_path


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Served]:
    async with serving(folder) as server:
        yield server
