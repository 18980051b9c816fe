"""In: what people set, and the key that it is sealed with. Out: credentials for a step, and text without secrets.

**Invariant:** no value leaves this room but to the step that names its credential; the key never enters the database.
"""
