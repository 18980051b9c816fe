"""The token a server asks for: whose it is, and why a server that others can reach must not invent it.

A token that is made at first start lies in a file nobody has read yet. On this machine that is enough. Beyond
it, a server would be open to whoever gets at the file, and its owner might not know that there is one. So an
address other than loopback is bound only with a token that somebody chose: KSL_TOKEN, or a token file that is
there already.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ksl.cli.connect import read_token
from ksl.errors import BadSetting, UnsafeBind

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.runtime import Runtime

LENGTH_MIN = 16  # characters, for a server that other machines can reach


def refuse_open_door(settings: Settings) -> None:
    """Errors: UnsafeBind; BadSetting for a KSL_TOKEN that no header can carry."""
    from ksl.build.config import is_loopback

    chosen = os.environ.get("KSL_TOKEN", "")
    if chosen and not (chosen.isascii() and chosen.isprintable() and " " not in chosen):
        raise BadSetting("KSL_TOKEN holds what no header can carry. Use printable ASCII without spaces.")
    if is_loopback(settings.server.host):
        return
    token = chosen or read_token(settings.data_folder) or ""
    if len(token) < LENGTH_MIN:
        why = "KSL_TOKEN is shorter than 16 characters" if token else "no token is set"
        raise UnsafeBind(
            f"{settings.server.host} can be reached from other machines, and {why}. It did not start. "
            "Set KSL_TOKEN to a long random text (`openssl rand -hex 32`), or take 127.0.0.1."
        )


def adopt_token(runtime: Runtime) -> None:
    """KSL_TOKEN, where it is set, becomes the token of this data folder, so that other commands find it."""
    chosen = os.environ.get("KSL_TOKEN")
    if not chosen or chosen == runtime.token:
        return
    path = runtime.settings.data_folder / "token"
    fresh = path.with_name("token.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(chosen + "\n")
    fresh.replace(path)
    runtime.token = chosen
