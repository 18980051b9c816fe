"""ksl: durable workflows in one process on one SQLite file.

Everything a workflow file may import, and nothing else.
"""

# define
from ksl.define.action import Action, ActionContext, action
from ksl.define.context import Context, Hook
from ksl.define.delivery import Delivery
from ksl.define.parallel import as_completed, bounded
from ksl.define.retry import Retry
from ksl.define.webhook import WebhookSource
from ksl.define.workflow import Workflow, workflow

# catch and raise
from ksl.errors import (
    FatalError,
    HookRejected,
    HookTimeout,
    KslError,
    RetryLater,
    StepFailed,
    StepInterrupted,
)

__version__ = "0.1.0"

__all__ = [
    "Action",
    "ActionContext",
    "Context",
    "Delivery",
    "FatalError",
    "Hook",
    "HookRejected",
    "HookTimeout",
    "KslError",
    "RetryLater",
    "Retry",
    "StepFailed",
    "StepInterrupted",
    "WebhookSource",
    "Workflow",
    "action",
    "as_completed",
    "bounded",
    "workflow",
]
