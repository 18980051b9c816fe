"""Statements as blocks. One that holds neither a step nor a way out is not drawn."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Literal

from ksl.build.canvas.blocks import (
    Block,
    Lane,
    Loop,
    Opaque,
    Range,
    Scope,
    Step,
    Terminal,
    Try,
    Wait,
    breaks,
    ends,
    walk,
)
from ksl.build.canvas.draft import Draft, unparsed
from ksl.build.canvas.expressions import Expressions, decision
from ksl.build.canvas.forms import form_of
from ksl.build.canvas.groups import group_lanes
from ksl.build.canvas.reached import Frame
from ksl.build.canvas.stored import awaited_once, is_used

_COROUTINES = ("gather", "bounded", "wait_for", "shield")


class Statements(Expressions):
    """Draws the body of one function."""

    def __init__(self, draft: Draft, frame: Frame, *, is_helper: bool = False) -> None:
        super().__init__(draft, frame)
        self._is_helper = is_helper

    def body(self) -> tuple[Block, ...]:
        statements = self.frame.node.body
        blocks = self.block(statements)
        last = statements[-1]
        # Where a helper ends anyway, nothing leaves it early.
        if self._is_helper and isinstance(last, ast.Return) and blocks and isinstance(blocks[-1], Terminal):
            if blocks[-1].at == Range.of(last):
                return blocks[:-1]
        return blocks

    def inlined(self, frame: Frame) -> tuple[Block, ...]:
        return Statements(self.draft, frame, is_helper=True).body()

    def block(self, statements: Sequence[ast.stmt]) -> tuple[Block, ...]:
        """Up to where nothing further can be reached; what lies beyond stays unplaced."""
        blocks: list[Block] = []
        for statement in statements:
            blocks += self.statement(statement)
            if ends(tuple(blocks[-1:])):
                break
        return tuple(blocks)

    def statement(self, node: ast.stmt) -> list[Block]:
        try:
            return self._statement(node)
        except RecursionError:  # nobody wrote that by hand
            return [*self.draft.hide("KSL006", [node], self.frame, node)]

    def _statement(self, node: ast.stmt) -> list[Block]:
        match node:
            case ast.Expr(value=value):
                return self.value(value)
            case ast.Assert():
                return self._assert(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return self._store(name, value, node)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                return self._store(name, value, node)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(
                names
            ) == len(values) and all(isinstance(each, ast.Name) for each in names):
                pairs = zip(names, values, strict=True)
                return [
                    block
                    for each, value in pairs
                    if isinstance(each, ast.Name)
                    for block in self._store(each.id, value, node)
                ]
            case ast.Assign(targets=targets, value=value):
                return [*self.value(value), *(block for each in targets for block in self.value(each))]
            case ast.AnnAssign(target=target, value=value):
                return [*self.value(value), *self.value(target)]
            case ast.AugAssign(target=target, value=value):
                return [*self.value(target), *self.value(value)]  # what is there is read first
            case ast.Return(value=value):
                return [*self._returned(value), self._terminal("return", value, node)]
            case ast.Raise(exc=error, cause=cause):
                return [*self.value(error), *self.value(cause), self._terminal("raise", error, node)]
            case ast.Break():
                return [self._terminal("break", None, node)]
            case ast.Continue():
                return [self._terminal("continue", None, node)]
            case ast.If():
                return self._if(node)
            case ast.Match():
                return self._match(node)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(node)
            case ast.Try() | ast.TryStar():
                return self._try(node)
            case ast.With() | ast.AsyncWith():
                return self._with(node, node.items)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return [*self.draft.hide("KSL004", [node], self.frame, node)]
            case ast.Delete(targets=targets):
                return [block for each in targets for block in self.value(each)]
            case _:
                # Imports and the like hold no step; what a later Python adds may.
                return [*self.draft.hide("KSL006", [node], self.frame, node)]

    def _store(self, name: str, value: ast.expr, node: ast.stmt) -> list[Block]:
        site = self.draft.site(value)
        is_hook = site is not None and site.kind == "hook"
        many = isinstance(
            value, ast.List | ast.Tuple | ast.Set | ast.ListComp | ast.SetComp | ast.GeneratorExp
        ) and self._holds_coroutines(value)
        if not (site is not None or many or self._is_coroutine(value)):
            return self.value(value)
        if awaited_once(name, node, self.frame, is_hook=is_hook):
            self.frame.stored[name] = value
            return []
        if not is_used(name, self.frame):
            return self.value(value)  # nobody awaits it
        if is_hook or form_of(value, self.frame) == "gather":
            return self.awaited(value)
        return [*self.draft.hide("KSL103", [value], self.frame, value)]

    def _is_coroutine(self, node: ast.expr) -> bool:
        if form_of(node, self.frame) in _COROUTINES:
            return bool(self.draft.reached.below([node], self.frame))
        if not isinstance(node, ast.Call):
            return False
        target = self.draft.reached.target(node.func, self.frame)
        return target is not None and bool(self.draft.reached.sites_of(target))

    def _holds_coroutines(self, node: ast.expr) -> bool:
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return any(self._holds_coroutines(item) for item in items)
            case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
                return self._holds_coroutines(item)
            case _:
                return self.draft.site(node) is not None or self._is_coroutine(node)

    def _returned(self, value: ast.expr | None) -> list[Block]:
        # A plain function's coroutine is awaited by its caller.
        if value is not None and isinstance(self.frame.node, ast.FunctionDef) and self._is_helper:
            return self.awaited(value)
        return self.value(value)

    def _terminal(
        self, kind: Literal["return", "raise", "break", "continue"], value: ast.expr | None, node: ast.stmt
    ) -> Terminal:
        return Terminal(kind, "" if value is None else unparsed(value), Range.of(node))

    def _assert(self, node: ast.Assert) -> list[Block]:
        before = self.value(node.test)
        asked = self.value(node.msg)
        if not asked:
            return before
        # Its message is made only where it fails.
        failed = [*asked, Terminal("raise", "AssertionError", Range.of(node))]
        label = f"not ({unparsed(node.test)})"
        lanes = [Lane(label, tuple(failed), Range.of(node)), Lane("else", (), Range.of(node))]
        return [*before, *decision(label, "if", lanes, node)]

    def _if(self, node: ast.If) -> list[Block]:
        before = self.value(node.test)
        lanes = [Lane(unparsed(node.test), self.block(node.body), _span(node.body))]
        rest = node.orelse
        while len(rest) == 1 and isinstance(rest[0], ast.If):
            deeper = rest[0]
            if self.asks_a_step(deeper.test):
                break  # a step decides the next question, so it is asked in a lane of its own
            lanes.append(Lane(unparsed(deeper.test), self.block(deeper.body), _span(deeper.body)))
            rest = deeper.orelse
        lanes.append(Lane("else", self.block(rest), _span(rest) if rest else Range.of(node)))
        return [*before, *decision(unparsed(node.test), "if", lanes, node)]

    def _match(self, node: ast.Match) -> list[Block]:
        before = self.value(node.subject)
        lanes = self.case_lanes(node, self.block)
        return [*before, *decision(unparsed(node.subject), "match", lanes, node)]

    def case_lanes(
        self, node: ast.Match, block: Callable[[Sequence[ast.stmt]], tuple[Block, ...]]
    ) -> list[Lane]:
        lanes: list[Lane] = []
        for case in node.cases:
            guard = case.guard
            asked: list[Block] = []
            if guard is not None:
                asked += self.draft.hide("KSL106", [guard], self.frame, guard)
            pattern = unparsed(case.pattern)
            label = "else" if pattern == "_" else pattern
            if guard is not None:
                label += f" if {unparsed(guard)}"
            lanes.append(Lane(label, (*asked, *block(case.body)), _span(case.body)))
        last = node.cases[-1]
        takes_all = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        if not takes_all or last.guard is not None:
            lanes.append(Lane("no match", (), Range.of(node)))
        return lanes

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> list[Block]:
        before: list[Block] = []
        asked: list[Block] = []
        always = False
        if isinstance(node, ast.While):
            asked = self.value(node.test)
            always = isinstance(node.test, ast.Constant) and bool(node.test.value)
            label = "repeat" if always else f"while {unparsed(node.test)}"
        else:
            before = [*self.value(node.iter), *self.value(node.target)]
            word = "for" if isinstance(node, ast.For) else "async for"
            label = f"{word} {unparsed(node.target)} in {unparsed(node.iter)}"
        blocks = (*asked, *self.block(node.body))
        other = None
        if node.orelse and not always:  # what is repeated without end has no other end than a break
            other = Lane("no break", self.block(node.orelse), _span(node.orelse))
        # What its `else` leaves is a loop around it.
        leaves = other is not None and (_matter(other.blocks) or ends(other.blocks) or breaks(other.blocks))
        if not _matter(blocks) and not leaves:
            return before
        return [*before, Loop(label, blocks, other, Range.of(node))]

    def _try(self, node: ast.Try | ast.TryStar) -> list[Block]:
        protected = self.block(node.body)
        if not ends(protected):
            protected += self.block(node.orelse)
        star = "*" if isinstance(node, ast.TryStar) else ""
        handlers: list[Lane] = []
        for handler in node.handlers:
            caught = unparsed(handler.type) if handler.type is not None else "everything"
            asked = (
                self.draft.hide("KSL006", [handler.type], self.frame, handler.type) if handler.type else []
            )
            blocks = (*asked, *self.block(handler.body))
            handlers.append(Lane(f"on{star} {caught}", blocks, Range.of(handler)))
        always = (
            Lane("finally", self.block(node.finalbody), _span(node.finalbody)) if node.finalbody else None
        )
        if not protected and not any(lane.blocks for lane in handlers) and not (always and always.blocks):
            return []
        return [Try(protected, tuple(handlers), always, Range.of(node))]

    def _with(self, node: ast.With | ast.AsyncWith, items: list[ast.withitem]) -> list[Block]:
        if not items:
            return [*self.block(node.body)]
        first, *others = items
        match form_of(first.context_expr, self.frame), first.optional_vars:
            case "group", ast.Name(id=group):
                self.frame.groups.add(group)
                try:
                    return group_lanes(self, node, lambda: self._with(node, others) if others else None)
                finally:
                    self.frame.groups.discard(group)
            case "timeout", _:
                label = unparsed(first.context_expr).removeprefix("asyncio.")
            case _:
                label = f"with {unparsed(first.context_expr)}"
        before = [*self.value(first.context_expr), *self.value(first.optional_vars)]
        inside = tuple(self._with(node, others))
        return [*before, Scope(label, inside, Range.of(node))] if inside else before


def _matter(blocks: tuple[Block, ...]) -> bool:
    """Whether a loop of these blocks is worth drawing: its own `break` and `continue` alone are not."""
    return any(
        isinstance(block, Step | Wait | Opaque)
        or (isinstance(block, Terminal) and block.kind in ("return", "raise"))
        for block in walk(blocks)
    )


def _span(statements: Sequence[ast.stmt]) -> Range:
    first, last = Range.of(statements[0]), Range.of(statements[-1])
    return Range(first.line, first.col, last.end_line, last.end_col)
