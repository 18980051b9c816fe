"""Which key does what: the bindings of every screen by their ids, and what a project puts in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, cast

from textual.app import App
from textual.binding import Binding
from textual.keys import (
    Keys,
    _character_to_key,  # pyright: ignore[reportPrivateUsage]  # what Textual itself does with a keymap
    format_key,
)
from textual.screen import Screen
from textual.widget import Widget

from ksl.errors import BadSetting, UnknownSetting

_MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta")
_NAMED = frozenset(key.value for key in Keys)


def own_bindings(of: type[object]) -> list[Binding]:
    """Those that a class itself brings."""
    return [each for each in cast("list[object]", vars(of).get("BINDINGS", [])) if isinstance(each, Binding)]


def keymap_of(given: Mapping[str, str]) -> dict[str, str]:
    """`tui.keys` as Textual wants it: by id, keys with commas between them.

    Errors: UnknownSetting for an id that no binding has, BadSetting for a key that no terminal sends, or that does two
    things on one screen.
    """
    known = {binding.id for of in classes_with_keys() for binding in own_bindings(of) if binding.id}
    for id in given:
        if id not in known:
            nearest = get_close_matches(id, sorted(known), n=1, cutoff=0.0)[0]
            raise UnknownSetting(
                f'tui.keys: nothing in the screens has the id "{id}"; the nearest is "{nearest}". Nothing was started. '
                "docs/guide/tui.md lists the ids."
            )
    keymap = {id: ",".join(_normal(id, key) for key in _split(keys)) for id, keys in given.items()}
    for where, classes in _together():
        _refuse_clashes(where, classes, keymap)
    return keymap


def keys_of(binding: Binding, keymap: Mapping[str, str]) -> list[str]:
    return keymap.get(binding.id or "", binding.key).split(",")


def shown(key: str) -> str:
    """A key as people call it: `?`, `ctrl+p`, `G`."""
    modifiers, plus, last = key.rpartition("+")
    return f"{modifiers}{plus}{last if last in _NAMED else format_key(last)}"


def _split(keys: str) -> list[str]:
    """A comma alone is the key of that name."""
    return [","] if keys.strip() == "," else [each.strip() for each in keys.split(",") if each.strip()]


def _normal(id: str, key: str) -> str:
    """As Textual calls it: `?` is question_mark."""
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    if len(last) == 1:
        last = _character_to_key(last)
    known = last in _NAMED or len(format_key(last)) == 1
    if not known or not all(each in _MODIFIERS for each in modifiers):
        raise BadSetting(
            f'tui.keys: {id} is "{key}", which is no key. Keys are called "o", "G", "?", "ctrl+n", "f5", "pagedown", '
            '"shift+tab". Nothing was started.'
        )
    return "+".join([*modifiers, last])


def _refuse_clashes(where: str, classes: list[type[object]], keymap: Mapping[str, str]) -> None:
    taken: dict[str, Binding] = {}
    for of in classes:
        for binding in own_bindings(of):
            for key in keys_of(binding, keymap):
                other = taken.setdefault(key, binding)
                if other.id != binding.id and (binding.id in keymap or other.id in keymap):
                    raise BadSetting(
                        f'tui.keys: "{shown(key)}" would do two things in {where}: {other.id} ({other.description}) '
                        f"and {binding.id} ({binding.description}). Give one of them another key. Nothing was started."
                    )


def _together() -> Iterator[tuple[str, list[type[object]]]]:
    """Whose keys work at the same time, by what people call that place."""
    from ksl.tui.app import KslApp
    from ksl.tui.frame import Framed
    from ksl.tui.lines import Lines

    classes = classes_with_keys()
    for of in classes:
        if issubclass(of, Framed) and of is not Framed:
            bases = [each for each in of.__mro__ if issubclass(each, Framed)]
            yield of.__name__.removesuffix("Screen"), [KslApp, Lines, *bases]
    for of in classes:
        if issubclass(of, Framed):
            continue
        if issubclass(of, Screen):
            yield of.__name__, [Lines, of]
        elif issubclass(of, Widget) and of is not Lines:
            yield of.__name__, [each for each in of.__mro__ if own_bindings(each) and _is_ours(each)]


def classes_with_keys() -> list[type[Any]]:
    """Whatever in the screens has keys."""
    import ksl.tui.app

    found: dict[type[Any], None] = {ksl.tui.app.KslApp: None}
    for base in (App, Screen, Widget):
        _gather(base, found)
    return list(found)


def _gather(base: type[Any], found: dict[type[Any], None]) -> None:
    for each in base.__subclasses__():
        if _is_ours(each):
            found[each] = None
        _gather(each, found)


def _is_ours(of: type[Any]) -> bool:
    return of.__module__.startswith("ksl.tui.")
