"""In: nothing. Out: a table of what ksl takes, each figure beside what it must reach and beside plain sqlite3.

**Invariant:** every figure is measured in the run that prints it, on real files, sockets and processes.
"""
