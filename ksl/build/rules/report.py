"""Diagnostics as people, editors and code hosts read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from ksl.build.rules.diagnostic import Diagnostic, Severity
from ksl.build.rules.registry import all_rules

Json = dict[str, Any]


def as_text(each: Diagnostic) -> str:
    """The place, the line, carets below what is meant, and the fix. A line too long to read is left out."""
    severity = "" if each.severity == "error" else f"{each.severity}: "
    head = f"{each.file}:{each.line}:{each.col} {each.code} {severity}{each.message}"
    if not each.source:
        return f"{head}\n    fix: {each.fix}"
    end = each.end_col if each.end_line == each.line else len(each.source) + 1
    before, meant = each.source[: each.col - 1], each.source[each.col - 1 : end - 1]
    margin = len(before) - len(before.lstrip())
    shown = each.source.strip()
    gap = "".join(char if char == "\t" else " " * _width(char) for char in before[margin:])
    carets = "^" * max(sum(_width(char) for char in meant.rstrip()), 1)
    return f"{head}\n    {shown}\n    {gap}{carets}\n    fix: {each.fix}"


def as_json(each: Diagnostic) -> Json:
    return asdict(each)


def as_github(each: Diagnostic) -> str:
    """A workflow command, which GitHub shows beside the line."""
    columns = (
        f",col={each.col},endColumn={each.end_col - 1}" if each.line == each.end_line else f",col={each.col}"
    )
    place = f"file={_property(each.file)},line={each.line},endLine={each.end_line}{columns}"
    kind = "notice" if each.severity == "information" else each.severity
    return f"::{kind} {place},title={each.code}::{_data(f'{each.message}. fix: {each.fix}')}"


def as_sarif(diagnostics: Sequence[Diagnostic], *, version: str) -> Json:
    """One SARIF 2.1.0 log. Columns are characters, not UTF-16 units, and it says so."""
    rules = all_rules()
    codes = [rule.code for rule in rules]
    codes += sorted({each.code for each in diagnostics} - set(codes))  # import errors
    about: dict[str, Json] = {
        rule.code: {
            "shortDescription": {"text": rule.title},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": _level(rule.severity)},
        }
        for rule in rules
    }
    driver = {
        "name": "ksl",
        "version": version,
        "rules": [{"id": code, **about.get(code, {})} for code in codes],
    }
    results = [
        {
            "ruleId": each.code,
            "ruleIndex": codes.index(each.code),
            "level": _level(each.severity),
            "message": {"text": f"{each.message}. fix: {each.fix}" if each.fix else each.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(each.file.replace("\\", "/"))},
                        "region": {
                            "startLine": each.line,
                            "startColumn": each.col,
                            "endLine": each.end_line,
                            "endColumn": each.end_col,
                        },
                    }
                }
            ],
        }
        for each in diagnostics
    ]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results},
        ],
    }


def _level(severity: Severity) -> str:
    return "note" if severity == "information" else severity


def _width(char: str) -> int:
    """Columns of a terminal."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
