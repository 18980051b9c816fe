"""The functions of one file that a workflow reaches, how often each is used, and the sites in them."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType

from ksl.build.names import CONTEXT, UNKNOWN, Names, Scope
from ksl.build.site import KindOf, Site
from ksl.build.sites import SiteTable
from ksl.build.source import FunctionNode, wrapped_chain

Place = tuple[int, int, int, int]


class Frame:
    """A function with what its names stand for."""

    def __init__(self, node: FunctionNode, function: FunctionType, names: Names) -> None:
        self.node = node
        self.function = function
        self.names = names
        self.scope = Scope(names.function_names(node.args, node.body, None), function.__qualname__)
        self.groups: set[str] = set()  # names of the task groups that are open
        self.stored: dict[str, ast.expr] = {}  # calls made already that are drawn where they are awaited

    def resolve(self, node: ast.expr) -> object:
        return self.names.resolve(node, self.scope)

    def around(self, tells: Callable[[ast.AST], bool]) -> set[ast.AST]:
        """The nodes for which that holds, with every node that they lie in."""
        found: set[ast.AST] = set()
        for node in ast.walk(self.node):
            if tells(node):
                here: ast.AST | None = node
                while here is not None and here not in found:
                    found.add(here)
                    here = self.parents.get(here)
        return found

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.node) for child in ast.iter_child_nodes(node)}

    @cached_property
    def stores(self) -> Counter[str]:
        counts = Counter(
            node.id
            for node in ast.walk(self.node)
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        )
        counts.update(node.arg for node in ast.walk(self.node.args) if isinstance(node, ast.arg))
        return counts

    @cached_property
    def loads(self) -> dict[str, list[ast.Name]]:
        found: dict[str, list[ast.Name]] = defaultdict(list)
        for node in ast.walk(self.node):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found[node.id].append(node)
        return found


@dataclass(frozen=True, slots=True)
class Target:
    """The functions of this file that a name stands for; `direct` when a call of it runs just that one."""

    frames: tuple[Frame, ...]
    direct: bool


class Reached:
    """Everything a workflow can run in its file, found before anything is drawn."""

    def __init__(self, table: SiteTable, *, kind_of: KindOf, is_context: Callable[[object], bool]) -> None:
        self.source = table.source
        self.sites = {place_of(site): site for site in table.sites}
        self.calls: dict[Place, ast.Call] = {
            place: node
            for node in ast.walk(table.source.tree)
            if isinstance(node, ast.Call) and (place := place_of(node)) in self.sites
        }
        self.uses: Counter[Frame] = Counter()
        self._kind_of = kind_of
        self._is_context = is_context
        self._frames: dict[FunctionNode, Frame] = {}
        self._below: dict[Frame, list[Site]] = {}
        self._entered: set[Frame] = set()

    def enter(self, function: FunctionType) -> Frame | None:
        """The frame of a function of this file, with everything that it reaches counted."""
        node = self.source.definition(function.__code__)
        if node is None:
            return None
        frame = self._frame(node, function)
        pending = [frame]
        while pending:
            here = pending.pop()
            if here in self._entered:
                continue
            self._entered.add(here)
            for name in (name for names in here.loads.values() for name in names):
                if (target := self.target(name, here)) is not None:
                    self.uses.update(target.frames)
                    pending += target.frames
        return frame

    def target(self, node: ast.expr, frame: Frame) -> Target | None:
        """What a name stands for, when that is a function of this file and not itself a step."""
        if not isinstance(node, ast.Name):
            return None
        value = frame.resolve(node)
        if value is UNKNOWN or value is CONTEXT or self._kind_of(value) is not None:
            return None
        chain = wrapped_chain(value)
        frames: list[Frame] = []
        for function in chain:
            if function.__code__.co_filename == self.source.path:
                definition = self.source.definition(function.__code__)
                if definition is not None:
                    frames.append(self._frame(definition, function))
        if frames:
            direct = len(chain) == 1 and not frames[0].node.decorator_list
            return Target(tuple(frames), direct)
        if frame.function.__globals__.get(node.id) is value:
            # Behind a decorator that hides the function it wraps.
            hidden = [self._frame(each, frame.function) for each in self.source.module_level(node.id)]
            return Target(tuple(hidden), direct=False) if hidden else None
        return None

    def below(self, nodes: Iterable[ast.AST], frame: Frame) -> list[Site]:
        """The sites in these nodes and in the functions that they reach, in the order of the file."""
        found: dict[Place, Site] = {}
        seen: set[Frame] = set()
        pending: list[tuple[ast.AST, Frame]] = [(node, frame) for node in nodes]
        while pending:
            top, here = pending.pop()
            for node in ast.walk(top):
                if isinstance(node, ast.Call) and (place := place_of(node)) in self.sites:
                    found[place] = self.sites[place]
                elif isinstance(node, ast.Name) and (target := self.target(node, here)) is not None:
                    for each in target.frames:
                        if each not in seen:
                            seen.add(each)
                            pending += [(statement, each) for statement in each.node.body]
        return [found[place] for place in sorted(found)]

    def sites_of(self, target: Target) -> list[Site]:
        found: dict[Place, Site] = {}
        for frame in target.frames:
            if frame not in self._below:
                self._below[frame] = self.below(frame.node.body, frame)
            found |= {place_of(site): site for site in self._below[frame]}
        return [found[place] for place in sorted(found)]

    def _frame(self, node: FunctionNode, function: FunctionType) -> Frame:
        if node not in self._frames:
            names = Names(function, is_context=self._is_context)
            self._frames[node] = Frame(node, function, names)
        return self._frames[node]


def place_of(node: ast.Call | Site) -> Place:
    if isinstance(node, Site):
        return (node.line, node.col, node.end_line, node.end_col)
    return (node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0)
