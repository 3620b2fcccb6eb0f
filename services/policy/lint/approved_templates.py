"""Checks approved templates: what a provider would not take, and a rule whose template or parameters do not exist."""

from __future__ import annotations

from typing import Final

from chapar.config.v1 import config_pb2
from services.policy.findings import Path
from services.policy.lint.review import Review
from services.policy.model.approved_templates import MAX_BODY_CHARS, chosen
from services.policy.reading.intake import approved_template, outside_window

_CHANNELS: Final = frozenset({"whatsapp"})


def approved_templates(review: Review, account: config_pb2.ChannelAccount, here: Path) -> None:
    """Check the templates of one account, and its rule `outside_window`."""
    named = f"{account.channel} account `{account.account}`"
    rule = outside_window(account)
    if account.channel not in _CHANNELS:
        if account.approved_templates or rule is not None:
            message = f"{named}: only accounts of {', '.join(sorted(_CHANNELS))} have approved templates"
            review.find("APPROVED_TEMPLATE", message, *here)
        return
    seen: set[tuple[str, str]] = set()
    templates = [approved_template(each) for each in account.approved_templates]
    for i, template in enumerate(templates):
        for problem in template.problems():
            review.find("APPROVED_TEMPLATE", f"{named}: {problem}", *here, "approved_templates", i)
        if (template.name, template.language) in seen:
            message = f"{named} has two templates `{template.name}` in {template.language}"
            review.find("APPROVED_TEMPLATE", message, *here, "approved_templates", i)
        seen.add((template.name, template.language))
    if rule is None:
        return
    found = chosen(templates, rule.template, rule.language)
    if found is None:
        message = f"{named} has no approved template `{rule.template}`" + (f" in {rule.language}" * bool(rule.language))
        review.find("OUTSIDE_WINDOW", message, *here, "outside_window")
        return
    if len(rule.parameters) != found.parameters:
        message = f"`{rule.template}` has {found.parameters} parameters, and the rule gives {len(rule.parameters)}"
        review.find("OUTSIDE_WINDOW", message, *here, "outside_window", "parameters")
    elif found.filled(rule.values(text="text", name="name")) is None:
        message = (
            f"the parameters do not fit `{rule.template}`: none may be empty or have a line break, a tab or five spaces in "
            f"a row, and the whole text may have {MAX_BODY_CHARS} characters"
        )
        review.find("OUTSIDE_WINDOW", message, *here, "outside_window", "parameters")
