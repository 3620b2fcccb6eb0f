"""The named points that a batch passes, for tests that kill or stop their own process exactly there. Not used in production."""

from typing import Final

POINTS: Final = (
    "after_claim_init",  # rival claimants are fenced, nothing is read yet
    "after_fence",  # the incarnation that the claim named is fenced
    "after_restore",  # state restored
    "before_claim",  # about to write the claim
    "after_claim",  # the claim is durable, nothing else is written with it
    "before_send",  # the batch is in a transaction of which nothing is sent yet
    "after_send",  # every record of the batch acknowledged, the batch before it perhaps still committing
    "before_commit",  # it is this batch's turn, EndTxn is not yet sent
    "inside_commit",  # EndTxn passed to the client, response not yet received
    "after_commit",  # the transaction is durable, this process has not yet noted it
    "before_reply",  # before the after_commit effects run
    "after_reply",  # after they ran
    "before_release",  # the last batch is durable, the partition is not yet given up
)
