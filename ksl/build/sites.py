"""The site table: every place of a workflow where a step is called, and the key each one has.

One table serves the ids of a run, its canvas and the build rules. At run time a step call finds its site by
its caller's frame: the position of the instruction `f_lasti`, matched by its END against the `ast.Call`. The
end is unique among calls; the start is not that of the call where a method chain is split over lines.

A workflow's sites lie in its function and in the functions of the same file that it reaches by name. They
are numbered per callee in the order of the file, so adding a call to another callee shifts nothing.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from types import CodeType, FunctionType

from ksl.build.site import DefinitionKind, KindOf, Site, SiteKind, SiteScope
from ksl.build.source import SourceFile, read_source, wrapped_chain
from ksl.build.walk import Walk
from ksl.errors import SourceMissing

__all__ = ["DefinitionKind", "KindOf", "Site", "SiteKind", "SiteScope", "SiteTable", "site_table"]


class SiteTable:
    """The sites of one workflow, and the way from a frame to its site.

    `cache` maps `id(code)` to `f_lasti` to the site, for a caller who wants the look-up inline; every code
    object in it is kept alive, so an id is never that of another.
    """

    __slots__ = ("_by_end", "_codes", "cache", "file", "sites", "source", "workflow")

    def __init__(self, workflow: str, source: SourceFile, sites: list[Site]) -> None:
        self.workflow = workflow
        self.source = source
        self.file = source.path
        self.sites = sites
        self.cache: dict[int, dict[int, Site]] = {}
        self._codes: list[CodeType] = []
        self._by_end = {(site.end_line, site.end_col): site for site in sites}

    @property
    def version(self) -> str:
        """A short hash of the file's text."""
        return self.source.version

    def find(self, code: CodeType, lasti: int) -> Site | None:
        """The site of the call under way in a frame, or None when the source shows no step call there.

        Compare the callee: `b.run(*map(a.run, xs))` calls a from the very instruction that calls b.
        """
        try:
            return self.cache[id(code)][lasti]
        except KeyError:
            return self._locate(code, lasti)

    def _locate(self, code: CodeType, lasti: int) -> Site | None:
        if code.co_filename != self.file or not _is_call(code, lasti):
            return None
        _, end_line, _, end_col = next(islice(code.co_positions(), lasti // 2, None))
        if end_line is None or end_col is None:
            return None
        site = self._by_end.get((end_line, end_col))
        if site is not None:
            if id(code) not in self.cache:
                self._codes.append(code)
                self.cache[id(code)] = {}
            self.cache[id(code)][lasti] = site
        return site


def site_table(
    workflow: str,
    function: Callable[..., object],
    *,
    kind_of: KindOf,
    is_context: Callable[[object], bool],
    files: dict[str, SourceFile] | None = None,
) -> SiteTable:
    """The table of the workflow that runs `function`.

    `files` keeps parsed files between calls, so that several workflows of one file parse it once.
    Errors: SourceMissing when the function's source cannot be read or does not hold the function.
    """
    chain = wrapped_chain(function)
    if not chain:
        raise SourceMissing(
            f"workflow {workflow} is not a Python function but {function!r}, so it has no source."
        )
    source = _source(chain[-1], files if files is not None else {})
    walk = Walk(source, kind_of=kind_of, is_context=is_context)
    if not walk.enter(chain, "body"):
        raise SourceMissing(
            f"{source.path}:{chain[-1].__code__.co_firstlineno} has no function {chain[-1].__name__}, where "
            f"workflow {workflow} was defined. The file changed while it was being loaded: load it again."
        )
    walk.finish()
    return SiteTable(workflow, source, _numbered(walk.found))


def _is_call(code: CodeType, lasti: int) -> bool:
    # A starred argument is unpacked by an instruction that carries the position of the whole call, so a step
    # called by `b.run(1, *map(a.run, xs))` would pass for the call of b. Inside a call from Python to Python
    # `f_lasti` is the last of the cache entries that follow the instruction.
    opcodes = code.co_code
    while lasti > 0 and opcodes[lasti] == _CACHE:
        lasti -= 2
    return lasti >= 0 and dis.opname[opcodes[lasti]].startswith("CALL")


_CACHE = dis.opmap["CACHE"]


def _source(function: FunctionType, files: dict[str, SourceFile]) -> SourceFile:
    path = function.__code__.co_filename
    if path not in files:
        files[path] = SourceFile(path, read_source(function))
    return files[path]


def _numbered(found: list[Site]) -> list[Site]:
    counts: dict[str | None, int] = {}
    sites: list[Site] = []
    for site in sorted(found, key=lambda site: (site.line, site.col, site.end_line, site.end_col)):
        nth = counts[site.callee] = counts.get(site.callee, 0) + 1
        key = site.callee if nth == 1 or site.callee is None else f"{site.callee}~{nth}"
        sites.append(replace(site, key=key, ordinal=nth))
    return sites
