"""Lines with round corners, and the tips at their ends."""

from __future__ import annotations

from ksl.build.canvas.layout import Edge

_CORNER = 9


def edge(line: Edge) -> str:
    (x, y), (from_x, from_y) = line.points[-1], line.points[-2]
    kind = "" if line.kind in ("flow", "aside") else f" {line.kind}"
    path = f'<path class="edge{kind}" d="{_rounded(line.points, short=6 if line.arrow else 0)}"/>'
    if not line.arrow:
        return path
    turn = {(0, 1): "l-4.5-7h9z", (1, 0): "l-7-4.5v9z", (-1, 0): "l7-4.5v9z", (0, -1): "l-4.5 7h9z"}
    tip = turn[_sign(x - from_x), _sign(y - from_y)]
    return f'{path}<path class="tip{" error-tip" if line.kind == "error" else ""}" d="M{x} {y}{tip}"/>'


def _rounded(points: tuple[tuple[int, int], ...], *, short: int) -> str:
    """A path whose corners are arcs; `short` leaves room for the tip at its end."""
    (x, y), (from_x, from_y) = points[-1], points[-2]
    stop = (x - short * _sign(x - from_x), y - short * _sign(y - from_y))
    way = [*points[:-1], stop]
    path = [f"M{way[0][0]} {way[0][1]}"]
    for before, corner, after in zip(way, way[1:], way[2:], strict=False):
        first, second = _length(before, corner), _length(corner, after)
        room = min(_CORNER, first / 2, second / 2)
        into = _toward(corner, before, room)
        out = _toward(corner, after, room)
        path.append(f"L{into}Q{corner[0]} {corner[1]} {out}")
    return "".join([*path, f"L{way[-1][0]} {way[-1][1]}"])


def _toward(start: tuple[int, int], end: tuple[int, int], by: float) -> str:
    return f"{start[0] + by * _sign(end[0] - start[0]):g} {start[1] + by * _sign(end[1] - start[1]):g}"


def _length(start: tuple[int, int], end: tuple[int, int]) -> int:
    return abs(end[0] - start[0]) + abs(end[1] - start[1])


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
