"""The error for a dependency of a lane that is not available now."""


class Away(OSError):  # noqa: N818 - an expected state of the world
    """Raised by `prepare` or a processor when a record's dependency is unavailable. The record is not at fault: the lane takes over again later."""
