"""Checks SLA targets: impossible to meet, impossible to breach, contradicting each other, or never applied. The rules are those of
docs/sla.md; the SLA service also refuses every configuration that has an error here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from chapar.config.v1 import config_pb2
from services.chassis.expressions import ExpressionRefused, Together, TooCostly, UnknownVariable
from services.chassis.privacy.labels import OWN_LABELS
from services.cli.config.files import Document
from services.cli.config.requirements import Path_
from services.cli.output import duration

VARIABLES: Final = ("channel", "labels", "language", "priority", "queue", "tier")
_LABEL: Final = re.compile(r"""labels(?:\.|\[\s*["'])([A-Za-z_][\w-]*)""")
_MOST_MS: Final = 10 * 366 * 86_400_000
_MOST_WARNINGS: Final = 10
_MOST_ESCALATIONS: Final = 20
_KINDS: Final = {
    config_pb2.TARGET_KIND_PICK_UP: "pick_up",
    config_pb2.TARGET_KIND_FIRST_RESPONSE: "first_response",
    config_pb2.TARGET_KIND_NEXT_RESPONSE: "next_response",
    config_pb2.TARGET_KIND_RESOLUTION: "resolution",
}
_IN_ORDER: Final = (
    (config_pb2.TARGET_KIND_PICK_UP, config_pb2.TARGET_KIND_FIRST_RESPONSE),
    (config_pb2.TARGET_KIND_FIRST_RESPONSE, config_pb2.TARGET_KIND_RESOLUTION),
    (config_pb2.TARGET_KIND_NEXT_RESPONSE, config_pb2.TARGET_KIND_RESOLUTION),
    (config_pb2.TARGET_KIND_PICK_UP, config_pb2.TARGET_KIND_RESOLUTION),
)
"""Pairs of targets: the second can't come before the first."""


def policies(document: Document, *, channels: Collection[str]) -> None:
    """Check all SLA policies; add findings to the document."""
    c = document.configuration
    together = Together()
    for i, policy in enumerate(c.sla_policies):
        here: Path_ = ("sla_policies", i)
        for j, channel in enumerate(policy.channels):
            if channel not in channels:
                message = f"policy `{policy.name}`: `{channel}` is not one of {', '.join(sorted(channels))}"
                document.find("UNKNOWN_CHANNEL", message, *here, "channels", j)
        _condition(document, policy, here, together)
        _orders(document, policy, here)
        for j, target in enumerate(policy.targets):
            _target(document, policy, target, (*here, "targets", j))
        _agreement(document, policy, here)
        _shadow(document, policy, here, c.sla_policies[:i])


def _condition(document: Document, policy: config_pb2.SlaPolicy, here: Path_, together: Together) -> None:
    low, high = policy.priority_at_least, policy.priority_at_most
    if policy.HasField("priority_at_least") and policy.HasField("priority_at_most") and low > high:
        message = f"policy `{policy.name}`: no priority is at least {low} and at most {high}; exchange them"
        document.find("PRIORITY_RANGE", message, *here, "priority_at_least")
    if not policy.when:
        return
    declared = {*document.configuration.routing_labels, *(n for r in document.configuration.rules for n in r.labels)}
    for name in _LABEL.findall(policy.when):
        if name not in declared and name not in OWN_LABELS:
            message = f"`when` of policy `{policy.name}` uses the label `{name}`, which stays with the conversation: add it to `routing_labels`"
            document.find("LABEL_NOT_DECLARED", message, *here, "when")
    try:
        together.add(policy.when, VARIABLES)
    except TooCostly as error:
        document.find("COSTLY_EXPRESSION", f"`when` of policy `{policy.name}` {error}", *here, "when")
    except UnknownVariable as error:
        document.find("UNKNOWN_VARIABLE", f"`when` of policy `{policy.name}` {error}", *here, "when")
    except ExpressionRefused as error:
        reason = next((line for line in str(error).splitlines() if "ERROR" in line), str(error))
        message = f"`when` of policy `{policy.name}` is not valid CEL: {reason}"
        document.find("BAD_EXPRESSION", message, *here, "when")


def _orders(document: Document, policy: config_pb2.SlaPolicy, here: Path_) -> None:
    if not policy.orders_queue:
        return
    promised = {target.kind for target in policy.targets}
    if not promised & {config_pb2.TARGET_KIND_PICK_UP, config_pb2.TARGET_KIND_FIRST_RESPONSE}:
        what = "it has neither a pick_up nor a first_response target: give it one"
    elif not any(
        queue.order == config_pb2.QUEUE_ORDER_DEADLINE and (not policy.queues or queue.name in policy.queues)
        for queue in document.configuration.queues
    ):
        what = "none of its queues has `order: deadline`: give one that order"
    else:
        return
    message = f"`orders_queue` of policy `{policy.name}` has no effect, because {what}, or leave it out"
    document.find("ORDERS_NOTHING", message, *here, "orders_queue", severity="warning")


def _target(document: Document, policy: config_pb2.SlaPolicy, target: config_pb2.SlaTarget, here: Path_) -> None:
    if target.kind not in _KINDS:
        message = "a target needs a `kind`: pick_up, first_response, next_response or resolution"
        document.find("NO_TARGET_KIND", message, *here)
    what = f"{_KINDS.get(target.kind, 'a target')} of policy `{policy.name}`"
    desired, adequate = levels(target)
    zero = [
        key for key in ("desired_ms", "adequate_ms") if (*here, key) in document.lines and getattr(target, key) <= 0
    ]
    if zero or desired <= 0:
        document.find("TARGET_OF_ZERO", "`desired` and `adequate` must be longer than zero", *here, *zero[:1])
    elif desired > adequate:
        message = (
            f"`desired` of {what} ({duration(desired)}) is later than `adequate` ({duration(adequate)}): exchange them"
        )
        document.find("CONTRADICTING_LEVELS", message, *here)
    elif max(desired, adequate) > _MOST_MS:
        document.find("OUT_OF_RANGE", f"{what} is longer than ten years: shorten it", *here)
    else:
        _escalations(document, target, what, here, _warnings(document, target, what, here, adequate))


def _warnings(document: Document, target: config_pb2.SlaTarget, what: str, here: Path_, adequate: int) -> int:
    """Check a target's warnings. Returns the number of distinct warning times."""
    times = set()
    for j, share in enumerate(target.warn_at):
        if not 0 < share < 1:
            document.find("WARNING_SHARE", f"`warn_at` of {what} must lie between 0 and 1", *here, "warn_at", j)
        else:
            times.add(max(1, round(share * adequate)))
    given = [("warn_before", j, adequate - before) for j, before in enumerate(target.warn_before_ms)]
    given += [("warn_after", j, after) for j, after in enumerate(target.warn_after_ms)]
    for key, j, after in given:
        if not 0 < after < adequate:
            message = f"`{key}` of {what} must lie between its start and `adequate`, {duration(adequate)} later"
            document.find("WARNING_TOO_LATE", message, *here, key, j)
        times.add(after)
    if len(target.warn_at) + len(given) > _MOST_WARNINGS:
        document.find("OUT_OF_RANGE", f"{what} has more than {_MOST_WARNINGS} warnings: leave some out", *here)
    return len(times)


def _escalations(document: Document, target: config_pb2.SlaTarget, what: str, here: Path_, warnings: int) -> None:
    c = document.configuration
    if len(target.escalations) > _MOST_ESCALATIONS:
        document.find("OUT_OF_RANGE", f"{what} has more than {_MOST_ESCALATIONS} escalations: leave some out", *here)
    if target.escalate_priority and not warnings:
        message = f"`escalate_priority` of {what} applies at the first warning, and there is none: give `warn_at`"
        document.find("NO_SUCH_WARNING", message, *here, "escalate_priority", severity="warning")
    for j, escalation in enumerate(target.escalations):
        place: Path_ = (*here, "escalations", j)
        _name(document, escalation.webhook, [w.name for w in c.webhooks], "webhook", (*place, "webhook"))
        _name(document, escalation.queue, [q.name for q in c.queues], "queue", (*place, "queue"))
        if escalation.at == config_pb2.ESCALATION_POINT_UNSPECIFIED:
            message = f"an escalation of {what} needs `at`: warning, desired_passed or breach"
            document.find("NO_POINT", message, *place)
        elif escalation.at == config_pb2.ESCALATION_POINT_WARNING and not 1 <= (escalation.warning or 1) <= warnings:
            message = f"{what} is escalated at warning {escalation.warning or 1}, but has {warnings}: give `warn_at`, `warn_before` or `warn_after`"
            document.find("NO_SUCH_WARNING", message, *place)
        acts = escalation.add_priority or escalation.requirements or escalation.queue or escalation.webhook
        if not (acts or escalation.supervisor):
            message = f"an escalation of {what} has no action: give it add_priority, requirements, a queue, a webhook or supervisor"
            document.find("NO_ACTION", message, *place)


def _name(document: Document, name: str, names: Iterable[str], what: str, path: Path_) -> None:
    if name and name not in (known := sorted(names)):
        listed = ", ".join(known) or "none"
        document.find(f"UNKNOWN_{what.upper()}", f"there is no {what} `{name}` (known: {listed})", *path)


def _agreement(document: Document, policy: config_pb2.SlaPolicy, here: Path_) -> None:
    places = {target.kind: j for j, target in reversed(list(enumerate(policy.targets)))}
    for first, then in _IN_ORDER:
        if first in places and then in places:
            before, after = levels(policy.targets[places[first]])[1], levels(policy.targets[places[then]])[1]
            if before > after > 0:
                message = (
                    f"policy `{policy.name}` has {_KINDS[first]} within {duration(before)}, but {_KINDS[then]}, which comes later, within "
                    f"{duration(after)}: shorten the first or lengthen the second"
                )
                document.find("CONTRADICTING_TARGETS", message, *here, "targets", places[first], "adequate_ms")


def levels(target: config_pb2.SlaTarget) -> tuple[int, int]:
    """Return the desired and the adequate level, milliseconds. If only one is set, it is used for both."""
    return target.desired_ms or target.adequate_ms, target.adequate_ms or target.desired_ms


def _shadow(
    document: Document, policy: config_pb2.SlaPolicy, here: Path_, before: Iterable[config_pb2.SlaPolicy]
) -> None:
    for other in before:
        if _covers(other, policy):
            message = (
                f"policy `{policy.name}` is never chosen: `{other.name}` comes before it and matches all its interactions; "
                f"put it first, or narrow `{other.name}`"
            )
            document.find("SHADOWED_POLICY", message, *here, severity="warning")
            return


def _covers(wide: config_pb2.SlaPolicy, narrow: config_pb2.SlaPolicy) -> bool:
    """Return whether `wide` applies to every interaction to which `narrow` applies."""
    sets = all(
        not getattr(wide, key) or (getattr(narrow, key) and set(getattr(narrow, key)) <= set(getattr(wide, key)))
        for key in ("queues", "channels", "tiers")
    )
    spoken = not wide.languages or (
        narrow.languages
        and all(
            any(f"{language}-".lower().startswith(f"{of}-".lower()) for of in wide.languages)
            for language in narrow.languages
        )
    )
    low = not wide.HasField("priority_at_least") or (
        narrow.HasField("priority_at_least") and narrow.priority_at_least >= wide.priority_at_least
    )
    high = not wide.HasField("priority_at_most") or (
        narrow.HasField("priority_at_most") and narrow.priority_at_most <= wide.priority_at_most
    )
    return bool(sets and spoken and low and high and (not wide.when or wide.when == narrow.when))
