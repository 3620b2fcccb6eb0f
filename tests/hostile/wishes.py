"""Feeds text to what reads the link by which a customer joins two channels, and to approved templates."""

from typing import Final

from services.ingest.domain import join_links
from services.policy.model.approved_templates import ApprovedTemplate, OutsideWindow, on_one_line
from tests.hostile.entry import Entry, all_of, named

_TEMPLATE: Final = ApprovedTemplate(name="t", language="en", body="about {{1}}")

ENTRIES: Final = (
    Entry(named("services.ingest.domain.join_links", "claimed"),
          all_of(join_links.claimed, lambda given: join_links.claimed(f"/start chapar-{given[:43]}"))),
    Entry(named("services.policy.model.approved_templates", "ApprovedTemplate.filled", "OutsideWindow.values", "on_one_line"),
          all_of(lambda given: _TEMPLATE.filled((on_one_line(given),)),
                 lambda given: OutsideWindow(template="t", parameters=("{name} {text}",)).values(text=given, name=given[:200]))),
)  # fmt: skip
