"""A canvas in the making: which sites have been given their place, and how a site becomes a block."""

from __future__ import annotations

import ast

from ksl.build.canvas.blocks import Input, Opaque, Range, Step, Wait
from ksl.build.canvas.reached import Frame, Place, Reached, place_of
from ksl.build.site import Site


class Draft:
    def __init__(self, reached: Reached) -> None:
        self.reached = reached
        self._placed: set[Place] = set()

    @property
    def unplaced(self) -> tuple[Site, ...]:
        return tuple(site for place, site in self.reached.sites.items() if place not in self._placed)

    def site(self, node: ast.expr) -> Site | None:
        return self.reached.sites.get(place_of(node)) if isinstance(node, ast.Call) else None

    def step(self, site: Site) -> Step | Wait:
        self._placed.add(place_of(site))
        call = self.reached.calls[place_of(site)]
        if site.kind == "sleep" or site.kind == "hook":
            return Wait(site.key or "", site.kind, _inputs(call), Range.of(site))
        starred = any(isinstance(arg, ast.Starred) for arg in call.args)
        return Step(
            id=site.key if site.key is not None else site.key_for("*"),
            kind=site.kind,
            callee=site.callee,
            inputs=_inputs(call),
            inputs_hidden=starred or any(keyword.arg is None for keyword in call.keywords),
            at=Range.of(site),
        )

    def opaque(self, code: str, sites: list[Site], at: ast.expr | ast.stmt) -> list[Opaque]:
        """Nothing when there is nothing to hide."""
        if not sites:
            return []
        steps = tuple(self.step(site) for site in sites)
        return [Opaque(code, short(at), steps, Range.of(at), isinstance(at, ast.stmt) and _breaks(at))]

    def hide(
        self, code: str, nodes: list[ast.expr] | list[ast.stmt], frame: Frame, at: ast.expr | ast.stmt
    ) -> list[Opaque]:
        """One opaque block for every site in these nodes, and in what they take from variables."""
        found: list[ast.AST] = [*nodes]
        for node in nodes:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and inner.id in frame.stored:
                    found.append(frame.stored.pop(inner.id))
        return self.opaque(code, self.reached.below(found, frame), at)


def _breaks(statement: ast.stmt) -> bool:
    """Whether a `break` in it leaves a loop that it stands in itself."""
    pending: list[ast.AST] = [statement]
    while pending:
        match pending.pop():
            case ast.Break():
                return True
            case ast.For(orelse=others) | ast.AsyncFor(orelse=others) | ast.While(orelse=others):
                pending += others
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.expr():
                pass
            case node:
                pending += ast.iter_child_nodes(node)
    return False


def short(node: ast.expr | ast.stmt) -> str:
    """The first line of a node, as `ast` would write it."""
    first, *more = unparsed(node).splitlines() or [""]
    return f"{first} …" if more else first


def unparsed(node: ast.AST) -> str:
    try:
        return ast.unparse(node)
    except RecursionError:
        return "…"


def _inputs(call: ast.Call) -> tuple[Input, ...]:
    positional = [Input("", unparsed(arg)) for arg in call.args if not isinstance(arg, ast.Starred)]
    named = [Input(word.arg, unparsed(word.value)) for word in call.keywords if word.arg is not None]
    return (*positional, *named)
