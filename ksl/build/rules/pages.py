"""A page of documentation for every rule, made of the rule itself: `python -m ksl.build.rules.pages DIR [GUIDE]`.

GUIDE is a page with a part between two comments that shows the rules in one table.
"""

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
        "with `--strict`. What is for information only never does.\n"
        "A workflow with an error starts no runs: neither on a server, which serves the others, nor in a command.\n\n"
        "A warning is silenced on its own line by a comment, `# ksl: ignore[CODE] reason`; several codes are\n"
        "separated by commas. Errors cannot be silenced.\n\n"
        "| code | is | what is wrong |\n|---|---|---|\n" + "".join(rows)
    )


GUIDE_BEGINS, GUIDE_ENDS = "<!-- made of the rules -->\n", "<!-- until here -->\n"


def guide_part() -> str:
    """Wrong and right by rule, for the guide."""
    rows = [
        f"| [{rule.code}](../rules/{rule.code}.md) | {rule.title} | `{_wrong(rule)}` | {rule.fix.replace('|', '/')} |\n"
        for rule in all_rules()
        if not rule.needs_runs
    ]
    return "| code | what is wrong | for example | write this |\n|---|---|---|---|\n" + "".join(rows)


def with_guide_part(page: str) -> str:
    """The page with that part as the rules make it now."""
    before, _, rest = page.partition(GUIDE_BEGINS)
    _, _, after = rest.partition(GUIDE_ENDS)
    return f"{before}{GUIDE_BEGINS}{guide_part()}{GUIDE_ENDS}{after}"


def _wrong(rule: Rule) -> str:
    """What is marked in the bad example, on one line."""
    marked = rule.bad.partition("«")[2].partition("»")[0]
    first, *more = marked.splitlines()
    return (f"{first.rstrip()} ..." if more else first).replace("|", "/")


if __name__ == "__main__":
    for page in map(Path, sys.argv[2:]):
        page.write_text(with_guide_part(page.read_text(encoding="utf-8")), encoding="utf-8")
    for name, text in pages().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
