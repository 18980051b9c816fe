from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.integrations.peer import Peer, peer


@pytest.fixture
async def there() -> AsyncIterator[Peer]:
    async with peer() as server:
        yield server
