"""What a lane needs is away."""


class Away(OSError):  # noqa: N818 - an expected state of the world
    """Raised by `prepare`, or by a processor, when what a record needs can't be had now. No record is to blame: the lane takes over again later."""
