"""`python -m ksl`: the same as the console script."""

from __future__ import annotations

from ksl.cli import main

main()
