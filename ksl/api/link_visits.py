"""Who opened a hook's link and who answered by it, noted in the log lines of the hook's run.

Mail scanners and chat previews open links, and some press what they find there. When a hook was answered by
nobody's hand, these lines say by whom. They are bounded for each hook, so that whoever opens a link all day
does not push the lines of the author's own steps out of the run's log.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.requests import Request

from ksl.records import HookRow

if TYPE_CHECKING:
    from ksl.runtime import Runtime

NOTED_MAX = 50  # for each hook
_HOOKS_MAX = 10_000  # that are counted at a time
_AGENT_MAX = 200  # characters


class LinkVisits:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def note(self, request: Request, hook: HookRow, what: str) -> None:
        """`what` happened, as in "link opened"."""
        key = (hook.run_id, hook.step)
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        self._counts.move_to_end(key)
        if len(self._counts) > _HOOKS_MAX:
            self._counts.popitem(last=False)
        if count > NOTED_MAX:
            return
        log = self._runtime.engine.logs.of(hook.run_id, step_id=hook.step)
        agent = request.headers.get("user-agent", "")
        log.info(
            what,
            method=request.method,
            agent="".join(letter for letter in agent if letter.isprintable())[:_AGENT_MAX],
            address=request.client.host if request.client else "",
        )
        if count == NOTED_MAX:
            log.warning("the link is used often; further uses are not noted", uses=NOTED_MAX)
