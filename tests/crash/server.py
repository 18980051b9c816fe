"""`ksl serve`, but the process kills itself at a named point; see `tests.crash.dying`."""

from __future__ import annotations

import sys

from ksl.cli import main

from tests.crash import dying

if __name__ == "__main__":
    dying.arm()
    sys.exit(main())
