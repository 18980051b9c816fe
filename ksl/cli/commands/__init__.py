"""In: one command's flags. Out: what it prints and its exit code.

**Invariant:** a module here is imported only when its command is called or its own help is shown.
"""
