"""Expressions as blocks, in the order in which they are evaluated."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from ksl.build.canvas.blocks import Block, Decision, Helper, Lane, Opaque, Parallel, Range, Scope
from ksl.build.canvas.draft import Draft, unparsed
from ksl.build.canvas.forms import form_of, takes_steps
from ksl.build.canvas.reached import Frame, Target
from ksl.build.site import Site

# What a step in them is hidden for is told by what they are, also among the arguments of a call.
_OWN_REASON = (ast.Lambda, ast.Name, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Expressions(ABC):
    """Draws the expressions of one function. What it cannot draw becomes opaque, never nothing."""

    def __init__(self, draft: Draft, frame: Frame) -> None:
        self.draft = draft
        self.frame = frame
        # Most of a file has to do with no step: passing it over keeps long expressions from running deep.
        self._telling = frame.around(self._tells)

    @abstractmethod
    def inlined(self, frame: Frame) -> tuple[Block, ...]:
        """The blocks of a helper's body."""

    def value(self, node: ast.expr | None) -> list[Block]:
        """An expression whose value is used as it is: a step in it runs only below an `await`."""
        match node:
            case None:
                return []
            case _ if node not in self._telling:
                return []
            case ast.Await(value=inner):
                return self.awaited(inner)
            case ast.Call():
                return self._call(node, awaited=False)
            case ast.IfExp() | ast.BoolOp():
                return self._choice(node, awaited=False)
            case ast.Compare(comparators=[_, _, *_]):
                return self._chain(node)
            case ast.Lambda():
                return [*self.draft.hide("KSL004", [node], self.frame, node)]
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node)
            case ast.Name():
                # A function of this file used as a value: who calls it, and how often, cannot be seen.
                target = self.draft.reached.target(node, self.frame)
                sites = self.draft.reached.sites_of(target) if target is not None else []
                return [*self.draft.opaque("KSL005", sites, node)]
            case ast.Dict(keys=keys, values=values):
                return self._all(chain.from_iterable(zip(keys, values, strict=True)))
            case _:
                return self._all(_expressions_in(node))

    def awaited(self, node: ast.expr) -> list[Block]:
        """An expression whose value is awaited, here or by what it is handed to."""
        match node:
            case ast.NamedExpr(value=inner):
                return self.awaited(inner)
            case ast.IfExp() | ast.BoolOp():
                return self._choice(node, awaited=True)
            case ast.Name(id=name) if name in self.frame.stored:
                return self.awaited(self.frame.stored.pop(name))
            case ast.Call():
                return self._call(node, awaited=True)
            case _:
                return self.value(node)

    def _tells(self, node: ast.AST) -> bool:
        match node:
            case ast.Await():
                return True
            case ast.Call():
                return self.draft.site(node) is not None or takes_steps(node, self.frame)
            case ast.Name():
                return self.draft.reached.target(node, self.frame) is not None
            case _:
                return False

    def _call(self, node: ast.Call, *, awaited: bool) -> list[Block]:
        site = self.draft.site(node)
        if site is not None:
            before = [*self.value(node.func), *self._arguments(node)]
            if awaited:
                return [*before, self.draft.step(site)]
            return [*before, *self.draft.opaque("KSL003", [site], node)]
        match form_of(node, self.frame):
            case "gather":
                return self._gather(node)
            case "bounded":
                return self._bounded(node)
            case "wait_for":
                waited, *limit = _given(node, "fut")
                before = self._all(limit)
                inside = self.awaited(waited) if waited is not None else []
                text = ", ".join(unparsed(each) for each in limit if each is not None)
                scope = [Scope(f"timeout {text}", tuple(inside), Range.of(node))] if inside else []
                return [*before, *scope]
            case "shield":
                only, *_ = _given(node, "arg")
                return self.awaited(only) if only is not None else []
            case "wait":
                return [*self.draft.hide("KSL113", [node], self.frame, node)]
            case "detached":
                return [*self.draft.hide("KSL008", [node], self.frame, node)]
            case "task":
                return [*self.draft.hide("KSL103", [node], self.frame, node)]
            case _:
                pass
        target = self.draft.reached.target(node.func, self.frame)
        if target is not None and (sites := self.draft.reached.sites_of(target)):
            return [*self._arguments(node), *self._helper(node, target, sites, awaited=awaited)]
        return [*self.value(node.func), *self._arguments(node)]

    def _helper(self, node: ast.Call, target: Target, sites: list[Site], *, awaited: bool) -> list[Block]:
        helper = target.frames[0]
        if not awaited:
            return [*self.draft.opaque("KSL003", sites, node)]
        if not target.direct or self.draft.reached.uses[helper] != 1:
            return [*self.draft.opaque("KSL101", sites, node)]
        return [Helper(helper.node.name, self.inlined(helper), Range.of(node))]

    def _arguments(self, node: ast.Call) -> list[Block]:
        blocks: list[Block] = []
        for arg in [*node.args, *(word.value for word in node.keywords)]:
            inner = arg.value if isinstance(arg, ast.Starred) else arg
            if isinstance(inner, _OWN_REASON) or not self._runs_a_step(inner):
                blocks += self.value(inner)
            else:
                blocks += self.draft.hide("KSL002", [inner], self.frame, inner)
        return blocks

    def asks_a_step(self, node: ast.expr) -> bool:
        """Whether evaluating it draws something: a step in it, or one whose call is kept in a variable."""
        if node not in self._telling:
            return False
        names = (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))
        return any(name in self.frame.stored for name in names) or bool(
            self.draft.reached.below([node], self.frame)
        )

    def _runs_a_step(self, node: ast.expr) -> bool:
        """Whether a step is called in it other than by what may take steps, like gather."""
        pending: list[ast.AST] = [node]
        while pending:
            inner = pending.pop()
            if isinstance(inner, ast.Call):
                if self.draft.site(inner) is not None:
                    return True
                target = self.draft.reached.target(inner.func, self.frame)
                if target is not None and self.draft.reached.sites_of(target):
                    return True
                if takes_steps(inner, self.frame):
                    continue
            pending += ast.iter_child_nodes(inner)
        return False

    def _gather(self, node: ast.Call) -> list[Block]:
        before: list[Block] = []
        lanes: list[Lane] = []
        for arg in node.args:
            for item in self._flattened(arg):
                blocks: list[Block]
                if isinstance(item, ast.Await):
                    before += self.awaited(item.value)
                    continue
                if isinstance(item, ast.Starred):
                    at = node if len(node.args) == 1 else item
                    blocks = [*self.draft.hide("KSL103", [item], self.frame, at)]
                else:
                    blocks = self.awaited(item)
                if blocks:
                    lanes.append(Lane("", tuple(blocks), Range.of(item)))
        before += self._all(word.value for word in node.keywords)
        collects = any(
            word.arg == "return_exceptions"
            and not (isinstance(word.value, ast.Constant) and not word.value.value)
            for word in node.keywords
        )
        return [*before, *parallel("gather", "", lanes, node, collects_errors=collects)]

    def _flattened(self, arg: ast.expr) -> Iterator[ast.expr]:
        """Starred literals, written here or in the variable that holds them, as if they stood here."""
        inner = arg.value if isinstance(arg, ast.Starred) else None
        if isinstance(inner, ast.Name):
            inner = self.frame.stored.get(inner.id, inner)
        if isinstance(inner, ast.List | ast.Tuple):
            if isinstance(arg, ast.Starred) and isinstance(arg.value, ast.Name):
                self.frame.stored.pop(arg.value.id, None)
            for each in inner.elts:
                yield from self._flattened(each)
        else:
            yield arg

    def _bounded(self, node: ast.Call) -> list[Block]:
        most, items, *others = _given(node, "n", "awaitables")
        limit = unparsed(most) if most is not None else "?"
        if isinstance(items, ast.Name):
            items = self.frame.stored.pop(items.id, items)
        lanes: list[Lane] = []
        before = self.value(most)
        match items:
            case ast.List(elts=elements) | ast.Tuple(elts=elements) if not _starred(elements):
                for item in elements:
                    if blocks := self.awaited(item):
                        lanes.append(Lane("", tuple(blocks), Range.of(item)))
            case ast.ListComp(elt=item, generators=[one]) | ast.GeneratorExp(elt=item, generators=[one]) if (
                not any(self.asks_a_step(test) for test in one.ifs)
            ):
                before += self.value(one.iter)
                label = " if ".join([_for(one.target, one.iter), *(unparsed(test) for test in one.ifs)])
                if blocks := self.awaited(item):
                    lanes.append(Lane(label, tuple(blocks), Range.of(items)))
            case _:
                nodes = [each for each in (items, *others) if each is not None]
                return [*before, *self.draft.hide("KSL103", nodes, self.frame, node)]
        return [*before, *parallel("bounded", f"at most {limit} at once", lanes, node)]

    def _choice(self, node: ast.IfExp | ast.BoolOp, *, awaited: bool) -> list[Block]:
        draw = self.awaited if awaited else self.value
        if isinstance(node, ast.IfExp):
            before = self.value(node.test)
            ways = [("", node.body), ("else", node.orelse)]
            lanes = [Lane(label, tuple(draw(way)), Range.of(way)) for label, way in ways]
            return [*before, *decision(unparsed(node.test), "expression", lanes, node)]
        first, *others = node.values
        before = draw(first)
        # `a and b and c` asks a, then b; each further value lies inside the lane of the one before it.
        inside: tuple[Block, ...] = ()
        drawn = [draw(other) for other in others]
        for index in range(len(others) - 1, -1, -1):
            asked = unparsed(node.values[index])
            label = asked if isinstance(node.op, ast.And) else f"not ({asked})"
            taken = Lane("", (*drawn[index], *inside), Range.of(others[index]))
            around = Lane("else", (), Range.of(node.values[index]))
            inside = tuple(decision(label, "expression", [taken, around], node))
        return [*before, *inside]

    def _chain(self, node: ast.Compare) -> list[Block]:
        """`a < b < c` asks for c only where a is below b."""
        first, second, *others = node.left, *node.comparators
        before = [*self.value(first), *self.value(second)]
        inside: tuple[Block, ...] = ()
        drawn = [self.value(other) for other in others]
        for index in range(len(others) - 1, -1, -1):
            asked = ast.Compare(node.left, node.ops[: index + 1], node.comparators[: index + 1])
            taken = Lane("", (*drawn[index], *inside), Range.of(others[index]))
            around = Lane("else", (), Range.of(node))
            inside = tuple(decision(unparsed(asked), "expression", [taken, around], node))
        return [*before, *inside]

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> list[Block]:
        # The first iterable is evaluated once and outside, whatever becomes of the rest.
        first, *others = node.generators
        before = self.value(first.iter)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        rest = [*first.ifs, *results]
        for generator in others:
            rest += [generator.iter, *generator.ifs]
        return [*before, *self.draft.hide("KSL102", rest, self.frame, node)]

    def _all(self, nodes: Iterable[ast.expr | None]) -> list[Block]:
        return [block for node in nodes for block in self.value(node)]


def decision(
    label: str,
    form: Literal["if", "match", "expression"],
    lanes: list[Lane],
    node: ast.expr | ast.stmt,
) -> list[Block]:
    """Nothing when no way leads anywhere in particular."""
    if not any(lane.blocks for lane in lanes):
        return []
    return [Decision(label, form, tuple(lanes), Range.of(node))]


def parallel(
    form: Literal["gather", "task group", "bounded"],
    label: str,
    lanes: list[Lane],
    node: ast.expr | ast.stmt,
    *,
    collects_errors: bool = False,
) -> list[Block]:
    """A single lane that is not drawn stands for the whole."""
    if not lanes:
        return []
    only = lanes[0].blocks
    if form != "bounded" and len(lanes) == 1 and len(only) == 1 and isinstance(only[0], Opaque):
        return [*only]
    return [Parallel(form, label, tuple(lanes), collects_errors, Range.of(node))]


def _given(node: ast.Call, *names: str) -> list[ast.expr | None]:
    """The arguments of these names, by place or by name, and then the others. None for one that is not there."""
    by_name = {word.arg: word.value for word in node.keywords}
    placed = [node.args[n] if n < len(node.args) else by_name.get(name) for n, name in enumerate(names)]
    rest = [*node.args[len(names) :], *(word.value for word in node.keywords if word.arg not in names)]
    return [*placed, *rest]


def _for(target: ast.expr, iterable: ast.expr) -> str:
    return f"for {unparsed(target)} in {unparsed(iterable)}"


def _starred(elements: list[ast.expr]) -> bool:
    return any(isinstance(each, ast.Starred) for each in elements)


def _expressions_in(node: ast.AST) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        else:
            yield from _expressions_in(child)
