"""The web console: what the CLI tells, as pages for a browser. HTML out, forms in, one stream to each page.

**Invariant:** no page asks anything that `ksl.views` or the runtime does not answer, and none needs its script.
"""
