"""The named points that a batch passes, for tests that kill or stop their own process exactly there. Not used in production."""

from typing import Final

POINTS: Final = (
    "after_fencing",  # both producers initialised, nothing is restored yet
    "after_restore",  # state restored, takeover not yet committed
    "after_send",  # every record of the batch acknowledged, the batch before it perhaps still committing
    "before_commit",  # it is this batch's turn, EndTxn is not yet sent
    "inside_commit",  # EndTxn passed to the client, response not yet received
    "after_commit",  # the transaction is durable, this process has not yet noted it
    "before_reply",  # before the after_commit effects run
    "after_reply",  # after they ran
)
