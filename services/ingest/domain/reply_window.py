"""Decides about the provider's time for free replies: which words leave for a request, inside this time and outside it.

- A request with a template is sent as that template, at any time.
- A text is sent as it is while the customer's last message is younger than the window.
- When the provider reports that the window is closed, it is closed until the customer writes again.
- Outside the window, the account's rule may name a template that is sent in its place. Without such a rule, or when the template
  does not fit the text, the text fails at once with OUTSIDE_WINDOW: no provider sees it.
"""

from dataclasses import replace
from typing import Final

from services.ingest.domain.channel_rules import ChannelRules, channel_rules
from services.ingest.domain.deliveries import Delivery, Gate, SenderConversation, Status
from services.ingest.domain.delivery_facts import FactSource
from services.ingest.domain.messages import Route, SendRequest, TemplateUse
from services.ingest.domain.reasons import Reason
from services.ingest.domain.recipients import recipient_problem
from services.ingest.domain.sent_files import problem_of_reply
from services.policy.model.approved_templates import TemplateCategory, chosen
from services.policy.model.intake import HOUR_MS, AccountPolicy

_MAX_DIGITS: Final = 5


def window_ms(rules: ChannelRules, account: AccountPolicy) -> int:
    """Return the time for free replies after the customer's last message; 0: no limit that is known in advance."""
    own = account.settings.get("reply_window_hours", "")
    if not rules.reply_window_ms or not own.isascii() or not own.isdecimal() or len(own) > _MAX_DIGITS:
        return rules.reply_window_ms
    return int(own) * HOUR_MS


def open_until_ms(rules: ChannelRules, account: AccountPolicy, route: Route) -> int:
    """Return when the window of a conversation closes; 0: no limit that is known in advance."""
    window = window_ms(rules, account)
    return route.last_customer_message_at_ms + window if window else 0


def worded(
    request: SendRequest,
    route: Route,
    rules: ChannelRules,
    account: AccountPolicy,
    now_ms: int,
    *,
    closed: bool = False,
) -> SendRequest | Reason:
    """Return the request as it is sent, with the words that the customer gets; or why it can't be sent. `closed`: the provider has
    reported that it takes no free text now."""
    if request.template is not None:
        return filled(request, account)
    until = open_until_ms(rules, account, route)
    return request if not closed and (not until or now_ms <= until) else in_template(request, route, account)


def filled(request: SendRequest, account: AccountPolicy) -> SendRequest | Reason:
    """Return a request for a template with the template's words."""
    use = request.template
    assert use is not None
    template = chosen(account.approved_templates, use.name, use.language)
    if template is None:
        return Reason.UNKNOWN_TEMPLATE
    text = template.filled(use.parameters)
    if text is None:
        return Reason.TEMPLATE_PARAMETERS
    return replace(request, text=text, template=replace(use, language=template.language))


def is_marketing(request: SendRequest, account: AccountPolicy) -> bool:
    """Return whether a request names a template that advertises."""
    use = request.template
    found = chosen(account.approved_templates, use.name, use.language) if use is not None else None
    return found is not None and found.category is TemplateCategory.MARKETING


def in_template(request: SendRequest, route: Route, account: AccountPolicy) -> SendRequest | Reason:
    """Return the request as the template that the account's rule names for a text that comes too late."""
    rule = account.outside_window
    if rule is None or request.attachments:  # a template carries no file
        return Reason.OUTSIDE_WINDOW
    values = rule.values(text=request.text, name=route.identity.display_name)
    use = TemplateUse(name=rule.template, language=rule.language, parameters=values, by_rule=True)
    found = filled(replace(request, template=use), account)
    return Reason.OUTSIDE_WINDOW if isinstance(found, Reason) else found


def closed_by_provider(conversation: SenderConversation) -> bool:
    """Return whether the provider has reported, since the customer last wrote, that it takes no free text now."""
    since_ms = conversation.route.last_customer_message_at_ms if conversation.route is not None else 0
    return any(
        fact.reason == Reason.OUTSIDE_WINDOW and fact.source is FactSource.PROVIDER and fact.at_ms > since_ms
        for delivery in (*conversation.deliveries, *conversation.settled)
        for fact in delivery.facts
    )


def ready(delivery: Delivery, conversation: SenderConversation, gate: Gate, now_ms: int) -> Delivery | str:
    """Return the delivery with the words that are sent; or why it can't be sent at all."""
    route = conversation.route
    if route is None:
        return Reason.NO_ROUTE
    rules = channel_rules(route.identity.channel)
    if rules is None:
        return Reason.CHANNEL_CANNOT_SEND
    request = delivery.request
    if request.forbidden:
        return request.forbidden
    if not request.text.strip() and request.template is None and not request.attachments:
        return "EMPTY_TEXT"
    if request.attachments and (
        unsendable := problem_of_reply(route.identity.channel, request.attachments, request.interaction_id)
    ):
        return unsendable
    if problem := recipient_problem(request, route):
        return problem
    account = gate.account(route.identity.channel, route.identity.account)
    found = worded(request, route, rules, account, now_ms, closed=closed_by_provider(conversation))
    if isinstance(found, Reason):
        return found
    if route.no_marketing and is_marketing(found, account):
        return Reason.OPTED_OUT
    if delivery.native_ids and found.template is not None and request.template is None:
        return Reason.OUTSIDE_WINDOW  # the customer has the first parts of the text
    return replace(delivery, request=found)


def reworded(delivery: Delivery, route: Route | None, reason: str, gate: Gate) -> Delivery | None:
    """Return the delivery as the template of the account's rule, when the provider says that the window is closed; otherwise
    None."""
    if reason != Reason.OUTSIDE_WINDOW or route is None or delivery.request.template is not None or delivery.native_ids:
        return None
    account = gate.account(route.identity.channel, route.identity.account)
    found = in_template(delivery.request, route, account)
    if isinstance(found, Reason):
        return None
    return replace(delivery, request=found, status=Status.WAITING, due_ms=delivery.asked_at_ms, reason="")
