"""Converts chapar.config.v1 to the policies of intake and sending. Values that are 0 in the contract get the contract's
defaults.
"""

from collections.abc import Iterable

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from services.policy.findings import Findings
from services.policy.model.approved_templates import ApprovedTemplate, OutsideWindow, TemplateCategory
from services.policy.model.intake import DAY_MS, HOUR_MS, AccountPolicy, TenantPolicy
from services.policy.model.rules import Condition, Requirement, Rule
from services.policy.reading.closing_words import read_closing_words
from services.policy.reading.counting import read_dispositions
from services.policy.reading.opening_hours import read_opening_hours


def tenant_policy(configuration: config_pb2.TenantConfiguration, condition: Condition) -> TenantPolicy:
    """Convert one version of a tenant's configuration; `condition` evaluates its rules' expressions."""
    return TenantPolicy(
        tenant=configuration.tenant,
        version=configuration.version,
        default_language=configuration.default_language or "en",
        accounts={(a.channel, a.account): account_policy(a) for a in configuration.channels},
        pools={queue.name: queue.pool for queue in configuration.queues},
        rules=tuple(
            Rule(
                name=rule.name,
                when=rule.when.strip(),
                queue=rule.queue,
                priority=rule.priority,
                requirements=requirements(rule.requirements),
                labels=dict(rule.labels),
            )
            for rule in configuration.rules
        ),
        condition=condition,
        templates={t.name: dict(t.texts) for t in configuration.templates},
        routing_labels=frozenset(configuration.routing_labels),
        follow_up_failed_replies=configuration.failed_reply != config_pb2.FAILED_REPLY_ACTION_NOTHING,
        closing_words=read_closing_words(configuration, Findings()),
        blocks_for_ms={
            name: each.blocks_for_ms
            for name, each in read_dispositions(configuration, Findings()).items()
            if each.blocks_for_ms
        },
        hours=read_opening_hours(configuration, Findings()),
    )


def account_policy(account: config_pb2.ChannelAccount) -> AccountPolicy:
    """Convert one account."""
    return AccountPolicy(
        channel=account.channel,
        account=account.account,
        gather_ms=account.gather_ms,
        conversation_window_ms=account.conversation_window_ms or DAY_MS,
        acknowledge=account.acknowledge,
        acknowledge_gap_ms=account.acknowledge_gap_ms or HOUR_MS,
        sends_per_second=account.sends_per_second,
        settings=dict(account.settings),
        secrets=dict(account.secrets),
        approved_templates=tuple(approved_template(each) for each in account.approved_templates),
        outside_window=outside_window(account),
    )


def approved_template(template: config_pb2.ApprovedTemplate) -> ApprovedTemplate:
    """Convert one approved template. A category that this version does not know is read as utility."""
    known = int(template.category) in {int(each) for each in TemplateCategory}
    return ApprovedTemplate(
        name=template.name,
        language=template.language,
        body=template.body,
        category=TemplateCategory(template.category) if known else TemplateCategory.UTILITY,
    )


def outside_window(account: config_pb2.ChannelAccount) -> OutsideWindow | None:
    """Convert an account's rule for texts that come too late for a free reply; None without a rule."""
    if not account.HasField("outside_window"):
        return None
    rule = account.outside_window
    return OutsideWindow(template=rule.template, language=rule.language, parameters=tuple(rule.parameters))


def requirements(selectors: Iterable[types_pb2.Selector]) -> tuple[Requirement, ...]:
    """Convert selectors to requirements."""
    return tuple(
        Requirement(
            attribute=s.attribute,
            operator=int(s.operator),
            number=s.number,
            text=s.text,
            texts=tuple(s.texts),
            expires_after_ms=s.expires_after_ms,
            weight=s.weight,
            steps=tuple((step.after_ms, step.number) for step in s.steps),
            any_of=requirements(s.any_of),
            all_of=requirements(s.all_of),
        )
        for s in selectors
    )


def selectors(wanted: Iterable[Requirement]) -> list[types_pb2.Selector]:
    """Convert requirements to selectors."""
    return [
        types_pb2.Selector(
            attribute=r.attribute,
            operator=types_pb2.SelectorOperator.ValueType(r.operator),
            number=r.number,
            text=r.text,
            texts=r.texts,
            expires_after_ms=r.expires_after_ms,
            weight=r.weight,
            steps=[types_pb2.SelectorStep(after_ms=after_ms, number=number) for after_ms, number in r.steps],
            any_of=selectors(r.any_of),
            all_of=selectors(r.all_of),
        )
        for r in wanted
    ]
