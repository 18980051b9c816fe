"""In: a project's folder and what is wanted of its code. Out: that, as data, from a process that imports the project.

**Invariant:** whatever an import does (hang, exit, kill itself, print), the command goes on and says which file it was.
"""
