"""A page of documentation for every rule, made of the rule itself: `python -m ksl.build.rules.pages DIR`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from ksl.build.rules.diagnostic import Severity
from ksl.build.rules.registry import all_rules
from ksl.build.rules.rule import EXAMPLE_FILE, Rule, example_files, unmarked

_SEVERITIES: dict[Severity, str] = {
    "error": "This is an error.",
    "warning": "This is a warning.",
    "information": "This is for your information: it never makes a build fail.",
}


def pages() -> dict[str, str]:
    """The text of every page by its file's name."""
    return {"README.md": _index()} | {f"{rule.code}.md": _page(rule) for rule in all_rules()}


def _page(rule: Rule) -> str:
    ignored = (
        f"\nA comment on the line silences it: `# ksl: ignore[{rule.code}] reason`.\n"
        if rule.severity != "error"
        else ""
    )
    return (
        f"# {rule.code} {rule.title}\n\n"
        f"{inspect.getdoc(rule)}\n\n"
        f"{_SEVERITIES[rule.severity]}\n{ignored}\n"
        f"## What to do\n{rule.fix}\n\n"
        f"Before:\n\n{_code(rule.bad)}\n\nAfter:\n\n{_code(rule.good)}\n"
    )


def _code(text: str) -> str:
    files = example_files(unmarked(text))
    blocks: list[str] = []
    for path, content in files.items():
        heading = "" if path == EXAMPLE_FILE else f"`{path}`:\n\n"
        blocks.append(f"{heading}```python\n{content.strip()}\n```")
    return "\n\n".join(blocks)


def _index() -> str:
    rows = [f"| [{rule.code}]({rule.code}.md) | {rule.severity} | {rule.title} |\n" for rule in all_rules()]
    return (
        "# Rules\n\n"
        "`ksl build` reads the source of every module that it imports, without running it, and says where a\n"
        "workflow would lose a step, repeat it, or could not be drawn. Errors make it exit 1, and warnings do\n"
        "with `--strict`. What is for information only never does.\n\n"
        "A warning is silenced on its own line by a comment, `# ksl: ignore[CODE] reason`; several codes are\n"
        "separated by commas. Errors cannot be silenced.\n\n"
        "| code | is | what is wrong |\n|---|---|---|\n" + "".join(rows)
    )


if __name__ == "__main__":
    for name, text in pages().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
