"""In: questions about runs, events, steps, hooks, workflows. Out: values that go straight into JSON.

**Invariant:** views only read: no write, no SQL, no formatting for people, nothing kept between calls.
"""
