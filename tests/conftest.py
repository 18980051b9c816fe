"""What holds for every test: no ksl setting of the machine leaks in, and chance repeats itself."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Servers started by tests inherit this environment, so it is cleaned before anything can look at it.
for name in [name for name in os.environ if name.startswith("KSL_")]:
    del os.environ[name]

# Nor does anybody's own credential of scope organization.
os.environ["KSL_HOME"] = "/nonexistent/ksl"

# A suite that a script starts in the background ignores SIGINT, and so would each process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run: what fails in CI fails here. `HYPOTHESIS_PROFILE=search` looks further.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))
