"""Exit codes, and which error ends a command with which."""

from __future__ import annotations

from ksl import errors
from ksl.errors import KslError

DONE = 0
FAILED = 1
USAGE = 2
SUSPENDED = 3
UNREACHABLE = 4  # no server answers, or the folder or database cannot be opened
STORE_FAILED = 5
INTERRUPTED = 130  # what shells say for Ctrl-C: 128 + SIGINT

_USAGE = (
    errors.UnknownWorkflow,
    errors.ConfigUnreadable,
    errors.UnknownSetting,
    errors.BadSetting,
    errors.NotAProject,
    errors.UnsafeBind,
    errors.BadJson,
    errors.BadRequest,
)
_UNREACHABLE = (
    errors.StoreUnopenable,
    errors.WrongKey,
    errors.KeyUnusable,
    errors.SchemaTooNew,
    errors.StoreBusy,
    errors.FolderHeld,
    errors.ServerUnreachable,
    errors.ShuttingDown,
    errors.PortInUse,
    errors.Unauthorised,
    errors.HostRefused,
)


def exit_code(error: KslError) -> int:
    if isinstance(error, errors.StoreFailed):
        return STORE_FAILED
    if isinstance(error, _USAGE):
        return USAGE
    return UNREACHABLE if isinstance(error, _UNREACHABLE) else FAILED
