"""The private exception by which a body is taken down without its clean-up reaching the log."""


class Halt(BaseException):
    """The run is leaving memory, or is held: no step can be asked for any more.

    Derives from BaseException so that an author's `except Exception` cannot take it for a failure.
    """
