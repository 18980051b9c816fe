"""In: what a person typed. Out: data on stdout, narration on stderr, an exit code.

**Invariant:** a command never answers a question itself: it asks a `Client`, be it server or engine.
"""

from __future__ import annotations


def main() -> None:
    """The console script `ksl`. Ends the process with one of the codes of `ksl.cli.exits`."""
    from ksl.cli.app import cli

    cli.main(prog_name="ksl")
