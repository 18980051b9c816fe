"""One file for each group of addresses.

In: requests that passed the gate. Out: responses. **Invariant:** errors are raised, never written by hand.
"""
