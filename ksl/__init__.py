"""ksl: durable workflows in one process on one SQLite file.

Everything a workflow file may import, and nothing else.
"""

from contextlib import AbstractAsyncContextManager as _AsyncManager

# define
from ksl.define.action import Action, ActionContext, action
from ksl.define.agent import Agent, AgentResult, requires_approval
from ksl.define.budget import Budget
from ksl.define.context import Context, Hook
from ksl.define.credential import Credential, Credentials, OAuth
from ksl.define.credential import CredentialSource as _Source
from ksl.define.cron import CronSource
from ksl.define.delivery import Delivery
from ksl.define.llm import prompt_llm
from ksl.define.mcp import mcp
from ksl.define.parallel import as_completed, bounded
from ksl.define.poll import PollContext, PollSource
from ksl.define.retry import Retry
from ksl.define.sandbox import Sandbox
from ksl.define.seam import outside as _outside
from ksl.define.thinking import Mind as _Mind
from ksl.define.thinking import thinking as _thinking
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

# verify deliveries
from ksl.trigger.verify.github import GitHub
from ksl.trigger.verify.shared_token import SharedToken
from ksl.trigger.verify.slack import Slack
from ksl.trigger.verify.standard_webhooks import StandardWebhooks
from ksl.trigger.verify.stripe import Stripe

__version__ = "0.1.0"


def _project_credentials() -> _AsyncManager[_Source]:
    from ksl.runtime.credentials import script_credentials

    return script_credentials()


_outside.put(_project_credentials)  # what an action is given that a script runs


def _agent_room() -> _Mind:
    from ksl.agent.around import put_outside
    from ksl.agent.mind import AgentMind
    from ksl.runtime.agents import script_services

    put_outside(script_services)
    return AgentMind()


_thinking.load = _agent_room  # loaded when a model is first asked

__all__ = [
    "Action",
    "ActionContext",
    "Agent",
    "AgentResult",
    "Budget",
    "Context",
    "Credential",
    "Credentials",
    "CronSource",
    "Delivery",
    "FatalError",
    "GitHub",
    "Hook",
    "HookRejected",
    "HookTimeout",
    "KslError",
    "OAuth",
    "PollContext",
    "PollSource",
    "RetryLater",
    "Retry",
    "Sandbox",
    "SharedToken",
    "Slack",
    "StandardWebhooks",
    "StepFailed",
    "StepInterrupted",
    "Stripe",
    "WebhookSource",
    "Workflow",
    "action",
    "as_completed",
    "bounded",
    "mcp",
    "prompt_llm",
    "requires_approval",
    "workflow",
]
