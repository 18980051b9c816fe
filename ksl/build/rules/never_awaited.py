from __future__ import annotations

import ast
from collections.abc import Iterator

from ksl.build.rules.calls import calls_around, comprehension_around, loads
from ksl.build.rules.diagnostic import Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule

# Builtins that look at a value: given the call in its place, they would look at the call.
_READERS: tuple[object, ...] = (
    all, any, bool, dict, enumerate, float, int, len, list, max, min, print, range, repr, reversed, round, set,
    sorted, str, sum, tuple, zip,
)  # fmt: skip


class NeverAwaited(Rule):
    """Calling a step only prepares it. Without an `await` it never runs, and Python does not say so.

    A call that is kept under a name counts as awaited when the name is read later in the function, but for where
    its result is meant: `for each in name`, `name.field`, `len(name)`.
    """

    code = "KSL003"
    title = "step that is never awaited"
    bad = """
from actions.desk import notify

from ksl import workflow


@workflow
async def greet(name: str) -> None:
    «notify.run(text=name)»
"""
    good = """
from actions.desk import notify

from ksl import workflow


@workflow
async def greet(name: str) -> None:
    await notify.run(text=name)
"""
    fix = "Write `await` before the call."

    def findings(self, file: Reading) -> Iterator[Finding]:
        for step in file.drawn_steps():
            if comprehension_around(file, step.call) is None and not any(calls_around(file, step.call)):
                if not self._is_used(file, step.call):
                    fix = f"await {file.shown(step.call)}"
                    yield Finding(step.call, f"{step.name} is never awaited, so it never runs", fix)
        for call, name in file.drawn_calls():
            helper = file.helper(call)
            if isinstance(helper, ast.AsyncFunctionDef) and not helper.decorator_list:
                if comprehension_around(file, call) is None and not any(calls_around(file, call)):
                    if helper not in file.generators and not self._is_used(file, call):
                        fix = f"await {file.shown(call)}"
                        yield Finding(call, f"{name} is never awaited, so its steps never run", fix)

    def _is_used(self, file: Reading, call: ast.Call) -> bool:
        node: ast.AST = call
        alone = True  # and not one of several in a list
        for parent in file.above(call):
            match parent:
                case ast.Await():
                    return True
                case ast.IfExp() if node is parent.test:
                    return False
                case ast.BoolOp() if node is not parent.values[-1]:
                    return False
                case ast.NamedExpr(target=target):
                    if self._is_read(file, target.id, call, alone=alone):
                        return True
                case ast.IfExp() | ast.BoolOp():
                    pass
                case ast.Tuple() | ast.List() | ast.Set() | ast.Dict() | ast.Starred():
                    alone = False
                case ast.Assign(targets=targets, value=value):
                    return self._assigned(file, call, targets, value, alone=alone)
                case ast.AnnAssign(target=target):
                    return self._assigned(file, call, [target], node, alone=alone)
                case ast.Return():
                    # A plain function may hand the call to who awaits it.
                    return isinstance(file.function(call), ast.FunctionDef)
                case ast.Yield() | ast.YieldFrom() | ast.AugAssign():
                    return True
                case _:
                    return False
            node = parent
        return False

    def _assigned(
        self, file: Reading, call: ast.Call, targets: list[ast.expr], value: ast.AST, *, alone: bool
    ) -> bool:
        for target in targets:
            names = [each.id for each in ast.walk(target) if isinstance(each, ast.Name)]
            match target, value:
                case ast.Tuple(elts=parts), ast.Tuple(elts=values) if len(parts) == len(values):
                    names = [
                        part.id
                        for part, each in zip(parts, values, strict=True)
                        if isinstance(part, ast.Name) and call in ast.walk(each)
                    ]
                    alone = call in values
                case ((ast.Attribute() | ast.Subscript()), _):
                    return True
                case _:
                    pass
            if any(self._is_read(file, name, call, alone=alone) for name in names):
                return True
        return False

    def _is_read(self, file: Reading, name: str, call: ast.Call, *, alone: bool) -> bool:
        for load in loads(file, name, around=call):
            parent = file.parents[load]
            if isinstance(parent, ast.Attribute | ast.FormattedValue | ast.Compare):
                # What `ctx.hook` answers has a token and a URL, which are all that is wanted sometimes.
                if isinstance(call.func, ast.Attribute) and call.func.attr == "hook":
                    return True
            elif not alone or not self._means_result(file, load, parent):
                return True
        return False

    def _means_result(self, file: Reading, load: ast.Name, parent: ast.AST) -> bool:
        match parent:
            case ast.For(iter=read) | ast.AsyncFor(iter=read) | ast.comprehension(iter=read):
                return read is load
            case ast.Subscript(value=read):
                return read is load
            case ast.If(test=read) | ast.While(test=read) | ast.IfExp(test=read) | ast.Assert(test=read):
                return read is load
            case ast.BinOp() | ast.UnaryOp():
                return True
            case ast.Call(func=func):
                return load is not func and any(file.resolve(func) is each for each in _READERS)
            case _:
                return False
