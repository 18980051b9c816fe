"""What blocks and states are called, in every form that a canvas is drawn in."""

from __future__ import annotations

from ksl.build.canvas.blocks import (
    Decision,
    Helper,
    Lane,
    Loop,
    Opaque,
    Parallel,
    Scope,
    Step,
    Terminal,
    Try,
    Wait,
)
from ksl.build.canvas.lights import Light, Lights, NodeState

Group = Loop | Parallel | Try | Scope | Helper | Opaque

KINDS = {
    "action": "action",
    "agent": "agent",
    "llm": "model",
    "workflow": "workflow",
    "sleep": "sleep",
    "hook": "hook",
    "dynamic": "dynamic step",
}
# The one that tells most about a group of nodes comes first.
PRESSING: tuple[NodeState, ...] = (
    "failed",
    "retrying",
    "running",
    "waiting",
    "caught",
    "cancelled",
    "done",
    "skipped",
    "pending",
)


def title(block: Group) -> str:
    """What stands above a group's blocks."""
    match block:
        case Loop(label=label) | Scope(label=label):
            return label
        case Parallel(form=form, label=label, collects_errors=collects):
            notes = ", ".join(filter(None, [label, "collects errors" if collects else ""]))
            return f"{form} {notes}".rstrip()
        case Try():
            return "try"
        case Helper(name=name):
            return f"{name}()"
        case Opaque(code=code, label=label):
            return f"{code} {label}"


def asked(block: Decision) -> str:
    """The question. Where each way has a condition of its own there is none."""
    if block.form == "match":
        return f"match {block.label}"
    return block.label if len(block.lanes) == 2 else "first that holds"


def ways(block: Decision) -> list[str]:
    """What leads into each lane, as answers to the question."""
    if block.form != "match" and len(block.lanes) == 2:
        return ["yes", "no"]
    return [lane.label for lane in block.lanes]


def passes(lane: Lane) -> bool:
    """Whether it is the way on when nothing applies, and holds nothing."""
    return lane.label in ("else", "no match") and not lane.blocks


def terminal(block: Terminal) -> str:
    """What is returned is said by the source; what is raised is worth a word."""
    return f"raise {block.label}".rstrip() if block.kind == "raise" else block.kind


def terminal_short(block: Terminal) -> str:
    """With no more of an exception than its name."""
    return terminal(block).partition("(")[0]


def name(block: Step | Wait) -> str:
    """Its id, without the path to it where the workflow that it is in is drawn around it."""
    return block.id.rpartition("/")[2]


def gist(block: Step | Wait) -> str:
    """What a wait is for, as a person would write it: how long it sleeps, what is asked."""
    if block.kind == "sleep" and len(block.inputs) == 1:
        return _unquoted(block.inputs[0].expression)
    if block.kind == "hook":
        return next((_unquoted(one.expression) for one in block.inputs if one.field == "title"), "")
    return ""


def chips(block: Step | Wait) -> list[str]:
    """The inputs of a step, in the order they are written."""
    told = [f"{one.field} = {one.expression}" if one.field else one.expression for one in block.inputs]
    return [*told, "…"] if isinstance(block, Step) and block.inputs_hidden else told


def fields(block: Step | Wait) -> list[str]:
    """The same in fewer words."""
    return [one.field or one.expression for one in block.inputs]


def _unquoted(expression: str) -> str:
    """The text of a string; what is put into it at run time stays in its braces."""
    text = expression.removeprefix("f")
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else expression


def one_line(text: str) -> str:
    return " ".join(text.split())


def light_of(id: str, lights: Lights | None) -> Light | None:
    """None without lights; a node that nothing lights is pending."""
    if lights is None:
        return None
    return lights.get(id, PENDING)


def most_pressing(states: list[NodeState]) -> NodeState:
    for state in PRESSING:
        if state in states:
            return state
    return "pending"


def block_id(block: Opaque) -> str:
    """An opaque block has no id of its own but those of its steps."""
    return " ".join(step.id for step in block.steps)


def state_of(block: Opaque, lights: Lights | None) -> NodeState:
    found = [light_of(step.id, lights) for step in block.steps]
    return most_pressing([light.state for light in found if light is not None])


def told(light: Light) -> str:
    """What there is to say about a node beside its state: how often it was met or tried, how long it took."""
    return ", ".join(filter(None, [_many(light), light.note, _duration(light), _tries(light)]))


def spoken(light: Light) -> str:
    """The same for those who hear it: "done in 1.4 s, 2 tries"."""
    duration = _duration(light)
    state = f"{light.state} in {duration}" if duration else light.state
    return ", ".join(filter(None, [state, _many(light), light.note, _tries(light)]))


def heard(block: Step | Wait, more: str) -> str:
    """A node for those who hear it: "charge-card, action, done in 1.4 s, 2 tries"."""
    return ", ".join(filter(None, [block.id, KINDS[block.kind], more]))


def _many(light: Light) -> str:
    return counted(light) if sum(light.counts.values()) > 1 else ""


def _duration(light: Light) -> str:
    if light.state != "done" or _many(light) or light.started_at_ms is None or light.finished_at_ms is None:
        return ""
    return took(light.finished_at_ms - light.started_at_ms)


def _tries(light: Light) -> str:
    ended = light.state in ("done", "failed", "caught")
    return f"{light.tries} tries" if ended and light.tries > 1 and not _many(light) else ""


def counted(light: Light) -> str:
    """ "7 done, 1 failed"."""
    order: list[NodeState] = ["done", *(state for state in PRESSING if state != "done")]
    return ", ".join(f"{light.counts[state]} {state}" for state in order if light.counts.get(state))


def took(ms: int) -> str:
    if ms < 10:
        return f"{ms} ms"
    seconds = ms / 1000
    if seconds < 59.5:
        return (
            f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
        )
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


PENDING = Light("pending", {}, 0, "", None, None)
