"""In: a project's folder and its settings. Out: its definitions, and what their source tells unrun.

**Invariant:** a module is imported, never called; nothing here opens the store or starts a run.
"""
