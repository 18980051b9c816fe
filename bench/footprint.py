"""What ksl weighs when it does nothing: memory of an idle server, import, --help."""

from __future__ import annotations

from bench import engine
from bench.rows import Place, Row, Sample
from bench.served import Server, took_s


def _idle(place: Place) -> Sample:
    with Server(engine.make_project(place)) as server:
        return Sample(server.peak_mb(), {"ready in": (server.ready_s, "s")})


def _import(_place: Place) -> Sample:
    bare_s = took_s("-c", "")
    return Sample((took_s("-c", "import ksl") - bare_s) * 1000, {"python itself": (bare_s * 1000, "ms")})


def _help(_place: Place) -> Sample:
    return Sample(took_s("-m", "ksl", "--help") * 1000)


ROWS = [
    Row("idle", "ksl serve, idle: peak resident", "MB", _idle),
    Row("import", "import ksl, beyond python itself", "ms", _import, repeats=5),
    Row("help", "ksl --help", "ms", _help, repeats=5),
]
