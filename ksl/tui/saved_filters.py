"""Filters that a person keeps under a name: in one file of the user's, for each project or server by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

_FILE = "filters.json"
NAME_MOST = 60


class SavedFilters:
    """`place`: the project's folder, or a server's address. What cannot be read is left where it is."""

    def __init__(self, place: str, folder: Path) -> None:
        self._place = place
        self._path = folder / _FILE

    def all(self) -> dict[str, str]:
        """By name, in order of name."""
        mine = self._read().get(self._place, {})
        return dict(sorted(mine.items()))

    def save(self, name: str, text: str) -> None:
        """Errors: OSError, where nothing can be written; ValueError where the file holds something else."""
        self._change({**self.all(), name: text})

    def forget(self, name: str) -> None:
        """Errors: as `save`."""
        self._change({each: text for each, text in self.all().items() if each != name})

    def _change(self, mine: dict[str, str]) -> None:
        if self._path.exists() and not self._is_fit():
            raise ValueError(f"{self._path} is no list of filters; nothing was changed")
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{_FILE}.{os.getpid()}")
        everything = {**self._read(), self._place: mine}
        fresh.write_text(json.dumps(everything, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        fresh.replace(self._path)

    def _is_fit(self) -> bool:
        try:
            return isinstance(json.loads(self._path.read_text(encoding="utf-8")), dict)
        except (OSError, ValueError):
            return False

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            known: object = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        places = cast("dict[str, object]", known)
        return {place: _texts(filters) for place, filters in places.items()}


def _texts(filters: object) -> dict[str, str]:
    if not isinstance(filters, dict):
        return {}
    named = cast("dict[str, object]", filters)
    return {name: text for name, text in named.items() if isinstance(text, str)}
