"""Checks a configuration whose values are each well formed: names that refer to nothing, targets that contradict each other, interactions
that no agent could ever take.

Codes are stable: operators filter by them. An error stops `chapar config apply`; a warning does not.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from functools import partial

from services.chassis.expressions import ExpressionRefused, Together, names_asked
from services.policy.findings import Findings, Path
from services.policy.lint.calendars import calendars
from services.policy.lint.capacity import capacity, numbers
from services.policy.lint.channels import channels
from services.policy.lint.counting import counting
from services.policy.lint.destinations import where_to
from services.policy.lint.queues import overflow, pick_up_targets, pools, reach, silence, staff, starvation
from services.policy.lint.references import references
from services.policy.lint.relaxation import relaxation, requirements
from services.policy.lint.review import Review
from services.policy.lint.sla import policies
from services.policy.lint.surveys import surveys
from services.policy.lint.webhooks import webhooks
from services.policy.model.templates import PLACEHOLDERS, TEMPLATES
from services.policy.model.validity import is_valid
from services.policy.reading.channels import CHANNELS
from services.policy.reading.conditions import check_condition
from services.policy.reading.routing import DEFAULT_POOL, read_pool
from services.policy.reading.rule_conditions import FUNCTIONS, OPEN, VARIABLES

_TENANT = re.compile(r"[a-z0-9-]{1,40}")


def lint(review: Review) -> None:
    """Check the whole configuration; add findings to the review."""
    for check in _CHECKS:
        check(review)


def _tenant(review: Review) -> None:
    c = review.configuration
    if not _TENANT.fullmatch(c.tenant):
        review.find("TENANT_NAME", "`tenant` must be 1 to 40 of a-z, 0-9 and -", "tenant")
    if not c.pools:
        review.find("NO_POOL", "at least one pool is needed: `pools: [{name: default}]`", "pools")
    if not c.queues:
        review.find("NO_QUEUE", "at least one queue is needed, or nothing can be routed", "queues")


def _unique_names(review: Review) -> None:
    c = review.configuration
    kinds: dict[str, Iterable[str]] = {
        "pools": (p.name for p in c.pools),
        "skills": (s.name for s in c.skills),
        "queues": (q.name for q in c.queues),
        "agents": (a.agent_id for a in c.agents),
        "capacity_profiles": (p.name for p in c.capacity_profiles),
        "rules": (r.name for r in c.rules),
        "sla_policies": (p.name for p in c.sla_policies),
        "calendars": (k.name for k in c.calendars),
        "surveys": (s.name for s in c.surveys),
        "templates": (t.name for t in c.templates),
        "webhooks": (w.name for w in c.webhooks),
        "channels": (f"{a.channel}/{a.account}" for a in c.channels),
    }
    for kind, names in kinds.items():
        seen: set[str] = set()
        for index, name in enumerate(names):
            if not name or name.startswith("/"):
                review.find("NAMELESS", f"this entry of `{kind}` has no name", kind, index)
            elif name in seen:
                review.find("DUPLICATE", f"`{name}` appears twice in `{kind}`", kind, index)
            seen.add(name)


def _rules(review: Review) -> None:
    c = review.configuration
    together = Together()
    for i, rule in enumerate(c.rules):
        if not rule.when:
            if i + 1 < len(c.rules):
                later = c.rules[i + 1].name
                review.find(
                    "UNREACHABLE_RULE",
                    f"`{rule.name}` always matches, so `{later}` is never evaluated",
                    "rules",
                    i,
                    severity="warning",
                )
            continue
        what = f"rule `{rule.name}`"
        here = ("rules", i, "when")
        check_condition(review.findings, together, rule.when, VARIABLES, what, *here, functions=FUNCTIONS)
        _queues_asked(review, rule.when, here)
    if c.rules and c.queues and all(rule.when.strip() for rule in c.rules):
        first = c.queues[0].name
        review.find(
            "NO_CATCH_ALL",
            f"every rule has a condition: an interaction that none of them matches goes to the first queue, `{first}`. "
            f"Add a last rule without `when`, such as {{name: everything else, queue: {first}}}",
            "rules",
            len(c.rules) - 1,
            severity="warning",
        )


def _queues_asked(review: Review, when: str, here: Path) -> None:
    """Check the queues whose hours a condition asks for."""
    queues = {queue.name: queue for queue in review.configuration.queues}
    try:
        asked = names_asked(when, OPEN)
    except ExpressionRefused:
        return  # reported with the condition
    for name in sorted(asked):
        review.findings.find_unknown("queue", name, queues, *here)
        if name in queues and not queues[name].hours:
            message = f"queue `{name}` has no `hours`: it is always open"
            review.find("ALWAYS_OPEN", message, *here, severity="warning")


def _templates(review: Review) -> None:
    for i, template in enumerate(review.configuration.templates):
        if template.name and template.name not in TEMPLATES:
            near = difflib.get_close_matches(template.name, TEMPLATES, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the templates are {', '.join(TEMPLATES)}"
            review.find(
                "UNKNOWN_TEMPLATE", f"no message uses a template `{template.name}`; {hint}", "templates", i, "name"
            )
        allowed = PLACEHOLDERS.get(template.name)
        for language, text in template.texts.items():
            unknown = set(re.findall(r"{(\w*)}", text)) - (allowed or frozenset())
            if allowed is not None and unknown:
                message = f"template `{template.name}` has no value for {', '.join(sorted(unknown))}"
                review.find("UNKNOWN_PLACEHOLDER", message, "templates", i, "texts", language)


def _routing(review: Review) -> None:
    """Ask the reader of the router: what the checks before this one did not find would be refused there."""
    c = review.configuration
    for pool in {pool.name: None for pool in c.pools}:
        findings = Findings()
        made = read_pool(c, pool or DEFAULT_POOL, findings)
        known = {finding.path[:2] for finding in review.findings.errors}
        for finding in findings.errors:
            if finding.path not in known:
                review.find(finding.code, finding.message, *finding.path)
        if not review.findings.errors and not is_valid(made):
            review.find("ROUTING", f"the engine can't decide for pool `{pool}`: a number is out of range", "pools")


_CHECKS: tuple[Callable[[Review], None], ...] = (
    _tenant,
    _unique_names,
    references,
    _rules,
    numbers,
    requirements,
    relaxation,
    reach,
    pools,
    staff,
    silence,
    overflow,
    starvation,
    partial(capacity, channels=CHANNELS),
    partial(policies, channels=CHANNELS),
    pick_up_targets,
    calendars,
    channels,
    partial(surveys, channels=CHANNELS),
    _templates,
    webhooks,
    where_to,
    counting,
    _routing,
)
