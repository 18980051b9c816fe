"""In: what a step wants of an outside service. Out: ready actions, and clients for an author's own actions.

**Invariant:** an integration is used as an author's own actions are: of the rooms it knows `define` alone.
"""
