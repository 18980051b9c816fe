"""In: nothing. Out: one tree of errors, each with a code and a page in `docs/errors/`.

**Invariant:** an error enters the log as data (type, message, step), never as a pickled object.
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
