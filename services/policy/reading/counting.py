"""How a tenant's responses are counted and recovered, from its configuration."""

from typing import Final

from chapar.config.v1 import config_pb2 as config
from services.policy.findings import Findings, Path
from services.policy.model.categories import CategoryRule, category_rule
from services.policy.model.counting import (
    BUILT_IN,
    FIRST_CONTACT_WINDOW_MS,
    LEAST_RESPONSES,
    LONGEST_BLOCK_MS,
    Counting,
    Disposition,
    RecoveryRule,
)
from services.policy.model.surveys import SCALES
from services.policy.reading.calendars import DAYS, read_zone
from services.policy.reading.surveys import kind

_SATURDAY_ZONES: Final = frozenset({"Asia/Tehran", "Iran", "Asia/Kabul"})


def read_counting(tenant: config.TenantConfiguration, findings: Findings) -> Counting:
    """Return a tenant's configuration of counting; what cannot be used is reported. Rules with an error are left out."""
    if tenant.least_responses < 0:
        findings.find("LEAST_RESPONSES", "`least_responses` can't be negative", "least_responses")
    if tenant.first_contact_window_ms < 0:
        findings.find("OUT_OF_RANGE", "`first_contact_window` can't be negative", "first_contact_window_ms")
    recoveries = (_recovery(rule, findings, ("recoveries", i)) for i, rule in enumerate(tenant.recoveries))
    categories = (_category(rule, findings, ("categories", i)) for i, rule in enumerate(tenant.categories))
    return Counting(
        zone=read_zone(tenant.time_zone, findings, "time_zone"),
        week_begins=first_weekday(tenant.week_begins, tenant.time_zone, findings),
        least_responses=tenant.least_responses or LEAST_RESPONSES,
        first_contact_window_ms=tenant.first_contact_window_ms or FIRST_CONTACT_WINDOW_MS,
        recoveries=tuple(rule for rule in recoveries if rule is not None),
        categories=tuple(rule for rule in categories if rule is not None),
        routes=_routes(tenant),
        dispositions=read_dispositions(tenant, findings),
    )


def first_weekday(configured: str, zone: str, findings: Findings) -> int:
    """Return the first day of the week, 0 for Monday: as configured, else Saturday in Iran and Afghanistan, else Monday."""
    if configured and configured not in DAYS:
        findings.find("WEEKDAY", "`week_begins` must be one of sat, sun, mon, tue, wed, thu, fri", "week_begins")
    return DAYS.get(configured, DAYS["sat"] if zone in _SATURDAY_ZONES else DAYS["mon"])


def _recovery(rule: config.RecoveryRule, findings: Findings, here: Path) -> RecoveryRule | None:
    errors = findings.error_count
    found = kind(rule.kind)
    if rule.kind != config.SURVEY_KIND_UNSPECIFIED and found not in SCALES:
        message = f"recovery `{rule.name}`: free text has no score that could be too low"
        findings.find("RECOVERY_KIND", message, *here, "kind")
    if not rule.queue:
        findings.find("NO_QUEUE", f"recovery `{rule.name}` names no queue", *here, "queue")
    if findings.error_count > errors:
        return None
    return RecoveryRule(
        name=rule.name,
        at_most=rule.at_most,
        queue=rule.queue,
        surveys=frozenset(rule.surveys),
        queues=frozenset(rule.queues),
        kind=found,
        priority=rule.priority,
        requirements=tuple(each.SerializeToString(deterministic=True) for each in rule.requirements),
    )


def _category(rule: config.CategoryRule, findings: Findings, here: Path) -> CategoryRule | None:
    try:
        return category_rule(
            rule.name,
            (word for language in sorted(rule.words) for word in rule.words[language].any),
            (word for language in sorted(rule.words) for word in rule.words[language].none),
        )
    except ValueError:
        message = f"category `{rule.name}` has no word that could be found"
        findings.find("CATEGORY_EMPTY", message, *here, "words")
        return None


def read_dispositions(tenant: config.TenantConfiguration, findings: Findings) -> dict[str, Disposition]:
    """Return what a tenant's own dispositions mean."""
    found: dict[str, Disposition] = {}
    for i, each in enumerate(tenant.dispositions):
        if not each.name or each.name in found:
            message = f"each entry of `dispositions` needs a name that no other entry has, not `{each.name}`"
            findings.find("DUPLICATE", message, "dispositions", i, "name")
            continue
        built_in = BUILT_IN.get(each.name, Disposition())
        found[each.name] = Disposition(
            spam=each.spam or built_in.spam,
            no_further_work=each.no_further_work or built_in.no_further_work,
            blocks_for_ms=min(max(each.blocks_for_ms, 0), LONGEST_BLOCK_MS),
        )
        if not 0 <= each.blocks_for_ms <= LONGEST_BLOCK_MS:
            message = f"`blocks_for` of `{each.name}` must be from 0s to 366d"
            findings.find("OUT_OF_RANGE", message, "dispositions", i, "blocks_for_ms")
    return found


def _routes(tenant: config.TenantConfiguration) -> dict[str, frozenset[str]]:
    routes: dict[str, set[str]] = {}
    for rule in tenant.categories:
        routes.setdefault(rule.name, set()).update(rule.webhooks)
    return {name: frozenset(hooks) for name, hooks in routes.items() if hooks}
