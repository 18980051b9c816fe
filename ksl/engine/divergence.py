"""Which rule an edit of a workflow broke, told from where a replay came to a halt.

A history shows what was done, not what was edited, so this is the likeliest edit: what the source no longer
calls was removed; what it calls but has not asked for yet has something before it now, new or moved there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ksl.build.sites import SiteTable
    from ksl.records import Event


def broken_rule(
    event: Event,
    later: Sequence[Event],
    *,
    asked: Collection[str],
    ended: bool,
    table: SiteTable,
    tables: Mapping[str, SiteTable],
) -> str:
    """`event` is what the code did not ask for, `later` what is recorded after it, `asked` the steps that the
    code asked for and has no outcome of. One of "step-removed", "step-added", "moved", "ended-early"."""
    step = event.step
    if step is None:
        return "ended-early"
    if not _is_timer(step) and not _has_site(step, table, tables):
        return "step-removed"
    if ended:
        return "ended-early"
    recorded = {each.step for each in later}
    if any(each in recorded for each in asked):
        return "moved"
    return "step-removed" if _is_timer(step) and not asked else "step-added"


def _is_timer(step: str) -> bool:
    return step.rpartition("/")[2].startswith(("timer#", "timer[", "run-timeout#"))


def _has_site(step: str, table: SiteTable, tables: Mapping[str, SiteTable]) -> bool:
    """Whether the source still has the call that this step came from."""
    parents, _, own = step.rpartition("/")
    if parents:
        slug = _key(parents.rpartition("/")[2]).partition("~")[0]
        if slug not in tables:
            return False
        table = tables[slug]
    key = _key(own)
    return any(site.key == key if site.key else key.endswith(f"~d{site.ordinal}") for site in table.sites)


def _key(segment: str) -> str:
    return segment.rpartition("#")[0].partition("[")[0]
