"""Signs as lines in a box of 16 by 16, so that no font has to hold them. They are stroked, not filled."""

from __future__ import annotations

from ksl.build.canvas.layout import FrameKind
from ksl.build.canvas.lights import NodeState

KIND = {
    "action": "M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z",
    "agent": "M4.5 5h7a2 2 0 0 1 2 2v4a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2zM8 5V2.5M6 8.5v1M10 8.5v1",
    "llm": "M8 1.5 9.6 6.4 14.5 8 9.6 9.6 8 14.5 6.4 9.6 1.5 8 6.4 6.4z",
    "workflow": "M2.5 2.5h4v4h-4zM9.5 9.5h4v4h-4zM4.5 6.5v5h5",
    "sleep": "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 4.8V8l2.3 1.6",
    "hook": "M5.3 7.5V4a1.1 1.1 0 0 1 2.2 0v3V3a1.1 1.1 0 0 1 2.2 0v4-2.8a1.1 1.1 0 0 1 2.2 0V10"
    "c0 2.7-1.5 4.3-3.9 4.3-2 0-3-1-4-2.8L2.8 9a1.1 1.1 0 0 1 1.9-1z",
    "dynamic": "M5.5 6a2.5 2.5 0 1 1 3.6 2.2C8.3 8.7 8 9.2 8 10.2M8 12.8v.2",
}
FRAME: dict[FrameKind, str] = {
    "loop": "M12.7 6.3A5 5 0 1 0 13 8.8M13.2 3.2v3.2H10",
    "parallel": "M8 2v3M4 14V8.5A1.5 1.5 0 0 1 5.5 7h5A1.5 1.5 0 0 1 12 8.5V14M8 5v2",
    "try": "M8 1.8 13 3.6V8c0 3-2 5.2-5 6.3C5 13.2 3 11 3 8V3.6z",
    "handler": "M8 2.3 14 13.2H2zM8 6.5v3.2M8 11.4v.2",
    "finally": "M3 14V2.5h8.5L9.5 5.5l2 3H3",
    "scope": "M5 2.5H3v11h2M11 2.5h2v11h-2",
    "helper": "M11 2.8c-1.8-.8-2.8.2-3.1 2L6.8 11.5c-.3 1.8-1.3 2.6-2.8 1.9M5.3 6.8h5",
    "opaque": "M2.5 2.5h11v11h-11zM2.5 9 9 2.5M2.5 13.5l11-11M7 13.5 13.5 7",
}
TERMINAL = {
    "return": "M4 4h8v8H4z",
    "raise": "M4 4l8 8M12 4l-8 8",
    "break": "M3 8h9M8.5 4.5 12 8l-3.5 3.5M13.5 3v10",
    "continue": "M12.5 5.5A5 5 0 1 0 13 8.5M13 2.7v3H10",
}
START = "M5 3l8 5-8 5z"
STATE: dict[NodeState, str] = {
    "pending": "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6z",
    "running": "M8 3a5 5 0 1 1-5 5M8 7a1 1 0 1 1 0 2 1 1 0 0 1 0-2z",
    "retrying": "M12.5 6A5 5 0 1 0 13 8.8M13 3v3.2H9.8",
    "waiting": "M5.5 3.5v9M10.5 3.5v9",
    "done": "M3 8.5 6.5 12 13 4.5",
    "failed": "M4 4l8 8M12 4l-8 8",
    "caught": "M8 2.5 14 13H2zM8 6.5v3M8 11.2v.2",
    "skipped": "M4 8h8",
    "cancelled": "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3zM4.5 4.5l7 7",
}
