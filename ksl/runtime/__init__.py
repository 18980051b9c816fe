"""In: a folder, its settings and its code. Out: `Runtime`, which the faces call.

**Invariant:** whatever is chosen (clock, chance, ids, store) is chosen here and handed down; what was started here is
stopped here, in reverse order.
"""

from ksl.runtime.runtime import Figures, Runtime

__all__ = ["Figures", "Runtime"]
