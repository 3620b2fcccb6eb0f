"""How the agent chooses the recipients of a reply at the terminal."""

from typing import Any

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.cli.reply_recipients import ReplyRecipients


def a_mail(
    author: types_pb2.ActorKind.ValueType = types_pb2.ACTOR_KIND_CUSTOMER, **fields: Any
) -> records_pb2.ConversationMessage:
    return records_pb2.ConversationMessage(author_kind=author, text="hello", **fields)


def test_without_a_choice_a_reply_goes_to_the_customer() -> None:
    chosen = ReplyRecipients()
    assert chosen.saw(1, a_mail(to=["help@a.example"])) == ""
    assert chosen.take(1) == ((), ())


def test_the_recipients_of_a_mail_are_shown_and_can_be_copied() -> None:
    chosen = ReplyRecipients()
    shown = chosen.saw(1, a_mail(to=["help@a.example"], cc=["carl@b.example"]))
    assert shown == "to help@a.example; cc carl@b.example"
    assert chosen.choose(1, "all", "") == "the next reply goes to the customer; cc help@a.example, carl@b.example"
    assert chosen.take(1) == ((), ("help@a.example", "carl@b.example"))
    assert chosen.take(1) == ((), ())  # a choice is for one reply


def test_addresses_are_typed_and_checked() -> None:
    chosen = ReplyRecipients()
    assert chosen.choose(2, "to", "a@b.example, c@d.example") == "the next reply goes to a@b.example, c@d.example"
    assert chosen.choose(2, "cc", "e@f.example") == "the next reply goes to a@b.example, c@d.example; cc e@f.example"
    assert "is not an e-mail address" in chosen.choose(2, "cc", "nobody")
    assert chosen.take(2) == (("a@b.example", "c@d.example"), ("e@f.example",))


def test_our_own_mail_does_not_change_whom_all_means() -> None:
    chosen = ReplyRecipients()
    chosen.saw(1, a_mail(to=["help@a.example"], cc=["carl@b.example"]))
    chosen.saw(1, a_mail(types_pb2.ACTOR_KIND_AGENT, to=["ann@c.example"]))
    assert "carl@b.example" in chosen.choose(1, "all", "")


def test_a_participant_is_named() -> None:
    origin = records_pb2.Origin(author="carl@b.example")
    shown = ReplyRecipients().saw(1, a_mail(participant=True, origin=origin))
    assert shown == "from carl@b.example, who is not the customer"
