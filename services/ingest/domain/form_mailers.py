"""Mails of one address that ask to be answered at others: forms on web sites, ticket systems.

Nothing proves such a Reply-To (a proven one is decided at the edge, see `normalise.mail.origin`). The mail belongs to
the Reply-To address, because the answer is for the person who has it, except when the author may be a person in whose
name a stranger writes:
- The author has been proven. Then the Reply-To is not used.
- The author has a current conversation of their own. Then the mail is recorded there, and answered where the
  conversation was answered before. This ends when the address has asked for answers at two different addresses: then it
  is a form mailer.

A forger gains nothing: their mail reaches a conversation of their own, like a mail in their own name. They can neither
divert an answer to the author, nor keep a form's customers together by writing in its name.
"""

from dataclasses import replace
from typing import Final

from services.ingest.domain.conversations import Customer
from services.ingest.domain.messages import Message

_FORM: Final = 2
"""From this number of different Reply-To addresses on, an address is a form mailer."""


def noted(customer: Customer, message: Message) -> Customer:
    """Return the customer who remembers where this mail of theirs asks to be answered."""
    wanted = message.answer_to
    known = customer.answered_elsewhere
    if wanted is None or wanted.identity_id in known or len(known) >= _FORM:
        return customer
    return replace(customer, answered_elsewhere=(*known, wanted.identity_id))


def for_another(customer: Customer, message: Message, now_ms: int) -> bool:
    """Return whether the mail belongs to the identity at which it asks to be answered."""
    if message.answer_to is None or customer.proven:
        return False
    if len(customer.answered_elsewhere) >= _FORM:
        return True
    return not any(each.current(now_ms) for each in customer.in_memory)
