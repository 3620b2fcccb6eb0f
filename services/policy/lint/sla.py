"""Checks SLA policies for what the reader accepts and is hardly intended: never applied, without effect, or with labels that stay behind.
The rules are those of docs/sla.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from chapar.config.v1 import config_pb2
from services.policy.findings import Path
from services.policy.lint.review import Review
from services.policy.model.labels import OWN_LABELS
from services.policy.reading.sla import levels, name_of, read_policies

_LABEL: Final = re.compile(r"""labels(?:\.|\[\s*["'])([A-Za-z_][\w-]*)""")


def policies(review: Review, *, channels: Collection[str]) -> None:
    """Check all SLA policies; add findings to the review."""
    c = review.configuration
    read_policies(c, review.findings)
    for i, policy in enumerate(c.sla_policies):
        here: Path = ("sla_policies", i)
        for j, channel in enumerate(policy.channels):
            if channel not in channels:
                message = f"policy `{policy.name}`: `{channel}` is not one of {', '.join(sorted(channels))}"
                review.find("UNKNOWN_CHANNEL", message, *here, "channels", j)
        _labels(review, policy, here)
        _orders(review, policy, here)
        for j, target in enumerate(policy.targets):
            what = f"{name_of(target)} of policy `{policy.name}`"
            _target(review, target, what, (*here, "targets", j))
            _prediction(review, target, (*here, "targets", j, "predict"))
        _shadow(review, policy, here, c.sla_policies[:i])


def _labels(review: Review, policy: config_pb2.SlaPolicy, here: Path) -> None:
    declared = {*review.configuration.routing_labels, *(n for r in review.configuration.rules for n in r.labels)}
    for name in _LABEL.findall(policy.when):
        if name not in declared and name not in OWN_LABELS:
            message = f"`when` of policy `{policy.name}` uses the label `{name}`, which stays with the conversation: add it to `routing_labels`"
            review.find("LABEL_NOT_DECLARED", message, *here, "when")


def _prediction(review: Review, target: config_pb2.SlaTarget, here: Path) -> None:
    if target.HasField("predict") and 0 < target.predict.probability < 0.2:
        message = "a `probability` below 0.2 reports mostly targets that are met in the end: is 0.7 meant?"
        review.find("PREDICTION_OF_LITTLE", message, *here, severity="warning")


def _orders(review: Review, policy: config_pb2.SlaPolicy, here: Path) -> None:
    if not policy.orders_queue:
        return
    kinds = {target.kind for target in policy.targets}
    if not kinds & {config_pb2.TARGET_KIND_PICK_UP, config_pb2.TARGET_KIND_FIRST_RESPONSE}:
        what = "it has neither a pick_up nor a first_response target: give it one"
    elif not any(
        queue.order == config_pb2.QUEUE_ORDER_DEADLINE and (not policy.queues or queue.name in policy.queues)
        for queue in review.configuration.queues
    ):
        what = "none of its queues has `order: deadline`: give one that order"
    else:
        return
    message = f"`orders_queue` of policy `{policy.name}` has no effect, because {what}, or leave it out"
    review.find("ORDERS_NOTHING", message, *here, "orders_queue", severity="warning")


def _target(review: Review, target: config_pb2.SlaTarget, what: str, here: Path) -> None:
    zero = [
        key for key in ("desired_ms", "adequate_ms") if (*here, key) in review.written and getattr(target, key) <= 0
    ]
    if zero and levels(target)[0] > 0:
        review.find("TARGET_OF_ZERO", f"`desired` and `adequate` of {what} must be longer than zero", *here, zero[0])
    if target.escalate_priority and not (target.warn_at or target.warn_before_ms or target.warn_after_ms):
        message = f"`escalate_priority` of {what} applies at the first warning, and there is none: give `warn_at`"
        review.find("NO_SUCH_WARNING", message, *here, "escalate_priority", severity="warning")


def _shadow(review: Review, policy: config_pb2.SlaPolicy, here: Path, before: Iterable[config_pb2.SlaPolicy]) -> None:
    for other in before:
        if _covers(other, policy):
            message = (
                f"policy `{policy.name}` is never chosen: `{other.name}` comes before it and matches all its interactions; "
                f"put it first, or narrow `{other.name}`"
            )
            review.find("SHADOWED_POLICY", message, *here, severity="warning")
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
