"""In: answers of the HTTP interface, by the door it is given. Out: screens in a terminal, and what a person asks there.

**Invariant:** what users' data says is never read as markup and never reaches the terminal as a control character.
"""
