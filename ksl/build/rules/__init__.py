"""In: an imported project and the text of its files. Out: what in them breaks a rule, and how to mend it.

**Invariant:** a rule reads trees and live objects; it calls nothing of the project's, and never raises.
"""
