"""The fixture `ksl_env`: an environment that ends with its test.

A plain fixture, so that it needs no plugin for async fixtures and works with whatever runs the test's coroutine:
the environment opens at its first use, on the loop that runs then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ksl.testing import Environment


@pytest.fixture
def ksl_env() -> Iterator[Environment]:
    """Runs workflows in memory, on time that the test moves. See `ksl.testing.environment`."""
    # Not above: a test run that has nothing to do with ksl must not pay for its import.
    from ksl.testing import environment

    env = environment()
    yield env
    env.close_now()
