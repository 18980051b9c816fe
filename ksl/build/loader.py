"""Loads a project's files from source: no stale bytecode, the text kept, every module once.

Step ids come from column positions in the bytecode. A `.pyc` written by an interpreter without positions has
none and would be taken silently, so the files below a project's folders are compiled here each time, and no
`.pyc` is read or written for them. Everything else is imported the usual way, the project folder being first
on `sys.path`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

from ksl.errors import NoColumnPositions


def require_positions() -> None:
    """Errors: NoColumnPositions when this interpreter leaves columns out of the code it compiles."""
    probe = compile("probe()", "<probe>", "exec")
    if all(end_col is None for _, _, _, end_col in probe.co_positions()):
        raise NoColumnPositions(
            "this Python leaves column positions out of its code, and ksl tells step calls apart by them: "
            "start it without `-X no_debug_ranges` and without PYTHONNODEBUGRANGES."
        )


class NotLoaded(ImportError):
    """Of whatever imports a module that did not load: the mistake is there, and is told there."""


class ProjectFinder(importlib.abc.MetaPathFinder):
    """Finds the modules below some folders of one project, ahead of anything else of the same name.

    `folders` are relative to `root`, "/" between parts; a module's name is its dotted path from `root`.
    `sources` is the text of every file loaded, by absolute path.
    """

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        self.root = root.resolve()
        self.packages = tuple(".".join(Path(folder).parts) for folder in folders)
        self.sources: dict[str, str] = {}
        self.refused: set[str] = set()  # modules whose import is known not to come to an end
        self._displaced: dict[str, ModuleType] = {}
        self._before: set[str] = set()

    def install(self) -> None:
        """Put this finder and the project folder first.

        Modules of the same names from elsewhere (another project in this process) make way until `uninstall`.
        """
        self._displaced = {name: sys.modules.pop(name) for name in list(sys.modules) if self.owns(name)}
        self._before = {name.partition(".")[0] for name in sys.modules}
        sys.meta_path.insert(0, self)
        sys.path.insert(0, str(self.root))
        importlib.invalidate_caches()

    def uninstall(self) -> None:
        """Forget every module loaded from the project folder and put back what was displaced."""
        if self not in sys.meta_path:
            return
        sys.meta_path.remove(self)
        if str(self.root) in sys.path:
            sys.path.remove(str(self.root))
        # All are found before one goes: a folder without __init__.py finds its path through the one around it.
        modules = list(sys.modules.items())
        for name in [name for name, module in modules if self.owns(name) or self._is_loose(name, module)]:
            del sys.modules[name]
        sys.modules.update(self._displaced)
        self._displaced = {}

    def loaded(self) -> list[ModuleType]:
        """The modules of the folders, and what they import from beside them, such as lib/money.py."""
        return [
            module
            for name, module in list(sys.modules.items())
            if (self.owns(name) and getattr(module, "__file__", None)) or self._is_loose(name, module)
        ]

    def owns(self, name: str) -> bool:
        """True for the folders' modules and for the packages that lead to a nested folder."""
        return any(
            name == package or name.startswith(f"{package}.") or package.startswith(f"{name}.")
            for package in self.packages
        )

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self.refused:
            raise NotLoaded(f"the module {fullname} does not load, see there", name=fullname)
        if not self.owns(fullname):
            return None
        place = self.root.joinpath(*fullname.split("."))
        package, module = place / "__init__.py", place.with_name(f"{place.name}.py")
        if package.is_file():
            return self._spec(fullname, package, folder=place)
        if module.is_file():
            return self._spec(fullname, module, folder=None)
        if place.is_dir():
            # Not left to the usual namespace packages: a package of this name elsewhere would win over it.
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        return None

    def _spec(self, name: str, file: Path, *, folder: Path | None) -> ModuleSpec:
        spec = importlib.util.spec_from_file_location(
            name,
            file,
            loader=SourceLoader(name, str(file), self.sources),
            submodule_search_locations=None if folder is None else [str(folder)],
        )
        assert spec is not None
        return spec

    def _is_loose(self, name: str, module: ModuleType) -> bool:
        # A module beside the folders, such as lib/money.py. What was there before stays: the project may be
        # the folder that this very program runs from.
        if name.partition(".")[0] in self._before:
            return False
        file = getattr(module, "__file__", None)
        if file is None:  # a folder without __init__.py
            try:
                file = next(iter(getattr(module, "__path__", ())), None)
            except KeyError:  # the folder around it is not loaded any more
                return False
        return isinstance(file, str) and is_project_file(file, self.root)


class SourceLoader(importlib.abc.InspectLoader):
    """Compiles one file. `get_source` gives the text that was compiled, whatever the disk holds by now."""

    def __init__(self, name: str, path: str, sources: dict[str, str]) -> None:
        self.name = name
        self.path = path
        self._sources = sources

    def get_filename(self, fullname: str) -> str:
        return self.path

    def is_package(self, fullname: str) -> bool:
        return Path(self.path).name == "__init__.py"

    def get_source(self, fullname: str) -> str:
        if self.path not in self._sources:
            self._sources[self.path] = importlib.util.decode_source(Path(self.path).read_bytes())
        return self._sources[self.path]

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.get_source(fullname), self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        self._sources.pop(self.path, None)  # loaded anew, read anew
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - what an import does


def is_project_file(file: str, root: Path) -> bool:
    """Below `root`, and not in a virtual environment or a hidden folder there."""
    try:
        parts = Path(file).relative_to(root).parts
    except ValueError:
        return False
    return "site-packages" not in parts and not any(part.startswith(".") for part in parts)
