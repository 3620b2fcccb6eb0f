"""The named points that a batch passes, for tests that kill or stop their own process exactly there. Not used in production."""

from typing import Final

POINTS: Final = (
    "after_fencing",  # both producers initialised, nothing restored yet
    "after_restore",  # state restored, takeover not yet committed
    "after_send",  # every record of the batch acknowledged, the batch before it perhaps still committing
    "before_commit",  # the turn has come, EndTxn not yet sent
    "inside_commit",  # EndTxn handed to the client, answer not yet seen
    "after_commit",  # the transaction is durable, this process has not yet noted it
    "before_reply",  # before the after_commit effects run
    "after_reply",  # after they ran
)
