"""In: HTTP requests. Out: calls of the runtime, questions to the views, their answers as JSON or pages.

**Invariant:** nothing gets past `gate` unasked, and no route decides anything that the runtime does not.
"""
