"""Outcomes as a table for people, or as JSON."""

from __future__ import annotations

from bench.rows import Outcome

_HEAD = ("row", "what", "must", "measured", "range", "", "beside it")


def line(outcome: Outcome) -> tuple[str, ...]:
    row = outcome.row
    must = f"{'>=' if row.must.kind == 'at least' else '<='} {_number(row.must.value)}" if row.must else ""
    beside = ", ".join(
        f"{name} {_number(value)}{_unit(unit)}" for name, (value, unit) in outcome.beside.items()
    )
    return (
        row.name,
        row.what,
        must,
        f"{_number(outcome.median)} {row.unit}",
        f"{_number(outcome.low)} - {_number(outcome.high)}",
        {True: "ok", False: "MISSED", None: ""}[outcome.met],
        beside,
    )


def rendered(outcomes: list[Outcome]) -> str:
    lines = [_HEAD, *(line(outcome) for outcome in outcomes)]
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in lines
    )


def as_json(outcome: Outcome) -> dict[str, object]:
    row = outcome.row
    return {
        "row": row.name,
        "what": row.what,
        "unit": row.unit,
        "must": None if row.must is None else {row.must.kind.replace(" ", "_"): row.must.value},
        "met": outcome.met,
        "median": outcome.median,
        "values": [sample.value for sample in outcome.samples],
        "beside": {name: {"value": value, "unit": unit} for name, (value, unit) in outcome.beside.items()},
    }


def _number(value: float) -> str:
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit.isalpha() else unit
