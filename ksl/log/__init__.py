"""In: changes, which are events and the rows that follow from them. Out: word when they are stored; answers.

**Invariant:** a change is stored whole, in order, or not at all; what was told stored is never missing later.
"""
