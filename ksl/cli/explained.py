"""The page of an error or of a build rule, also where ksl was installed and there is no `docs/`.

`ksl/errors/pages` is a link to `docs/errors`, in whose place a wheel has the files; the pages of rules are made from
the rules.
"""

from __future__ import annotations

from importlib.resources import files

from ksl.build.rules.pages import pages
from ksl.errors import BadRequest


def page_of(code: str) -> str:
    """Errors: BadRequest, with the codes that are like it."""
    of_errors = {each.name: each for each in (files("ksl.errors") / "pages").iterdir()}
    if (page := of_errors.get(f"{code}.md")) is not None:
        return page.read_text(encoding="utf-8")
    of_rules = pages()
    if f"{code}.md" in of_rules:
        return of_rules[f"{code}.md"]
    names = (name.removesuffix(".md") for name in {*of_errors, *of_rules})
    known = sorted(name for name in names if name.startswith("KSL"))
    near = [each for each in known if each[:4] == code[:4]] or known
    raise BadRequest(f"{code[:20]} is no code of ksl. There are: {', '.join(near)}.")
