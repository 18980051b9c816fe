"""One tree of errors, each with a code and a page in `docs/errors/`.

The code says where an error arose (families: KSL0xx and KSL1xx build rules, KSL2xx configuration and
discovery, KSL3xx triggers, KSL4xx engine and replay, KSL5xx store, KSL6xx CLI, HTTP and TUI, KSL7xx
credentials, KSL8xx models and agents). The base class says what to do about it:

- `FixCode`: an author's code must change.
- `FixRequest`: whoever asked must ask differently (an input, a flag, a setting).
- `TryAgain`: nothing is wrong with the request; the same one may succeed later.
- `AskPerson`: somebody must look at the machine or at the run.

Errors enter the log as data (type, message, step), never as pickled objects.
"""

from ksl.errors.credentials import *
from ksl.errors.engine import *
from ksl.errors.faces import *
from ksl.errors.models import *
from ksl.errors.project import *
from ksl.errors.raised import *
from ksl.errors.store import *
from ksl.errors.tree import *
from ksl.errors.triggers import *

for _each in list(vars().values()):
    if isinstance(_each, type):
        _each.__module__ = __name__  # the name that authors import them by, which tracebacks tell
