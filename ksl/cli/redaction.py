"""The secrets that this command's process knows: masked in all that it prints and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ksl.errors import KslError
from ksl.vault.redactor import Redactor

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.log.store import Store

REDACTOR = Redactor()


async def learn_stored(settings: Settings, store: Store) -> None:
    """Those of the store that a command without a server reads. Without their key there is nothing to learn, and the
    command has its answer all the same: what was recorded was masked then."""
    from ksl.runtime.credentials import make_vault

    try:
        await make_vault(settings, {}, store.credentials, redactor=REDACTOR).learn()
    except KslError:
        return
