"""People who answer in the conversation of another customer: a colleague to whom our mail was forwarded or copied.

Our Message-IDs are signed and name the identity to which the mail was sent (`reply_token`). An author who answers with one
has our mail, so the message is part of that conversation. It is not the customer's: it moves no route, does not
count as a survey response, and changes nothing that is known of the customer.
"""

from services.ingest.domain.belongings import owns
from services.ingest.domain.conversations import Customer
from services.ingest.domain.effects import Forwarded, Passing
from services.ingest.domain.messages import Message


def passed_on(key: str, customer: Customer | None, message: Message) -> Forwarded | None:
    """Return where a message goes that is not decided under this key; None for a message that is.

    `customer`: who is known under the key.
    """
    origin = message.origin
    if message.participant:
        if customer is None:
            # The customer was forgotten, so there is no conversation to take part in.
            return Forwarded(message.identity.identity_id, passing=Passing.RETURNED)
        return None
    if not origin.owner or origin.owner == key or (customer is not None and customer.home):
        return None
    if customer is not None and owns(customer, origin.conversation_id):
        return None  # the token was sent to another identity of this person
    return Forwarded(origin.owner, passing=Passing.PARTICIPANT)
