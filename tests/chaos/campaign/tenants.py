"""The two tenants of the campaign. Both have short time-outs and targets, so that a fault of seconds reaches their timers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

AGENTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"demo": tuple(f"d{number}" for number in range(8)), "bank": tuple(f"b{number}" for number in range(4))}
)
"""The agents of each tenant."""
BANK_WEBHOOK_SECRET: Final = (
    "whsec_" + base64.b64encode(b"a secret of the bank's webhook, for the chaos campaign"[:32]).decode()
)
BANK_SECRETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CHAPAR_SECRET_BANK__WEBHOOK_SECRET": BANK_WEBHOOK_SECRET,
        "CHAPAR_SECRET_BANK__WEBCHAT_SECRET": "a-secret-of-the-visitors-of-the-bank",
    }
)
_CHANNELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "demo": """\
  - channel: telegram
    account: main
    secrets: {webhook_secret: "env:CHAPAR_SECRET_DEMO__TELEGRAM_SECRET", bot_token: "env:CHAPAR_SECRET_DEMO__TELEGRAM_TOKEN"}
    settings: {base_url: "env:CHAPAR_SECRET_DEMO__TELEGRAM_URL"}
  - channel: whatsapp
    account: main
    secrets:
      app_secret: "env:CHAPAR_SECRET_DEMO__WHATSAPP_SECRET"
      verify_token: "env:CHAPAR_SECRET_DEMO__WHATSAPP_VERIFY"
      access_token: "env:CHAPAR_SECRET_DEMO__WHATSAPP_TOKEN"
    settings: {base_url: "env:CHAPAR_SECRET_DEMO__WHATSAPP_URL", phone_number_id: "100200300"}
  - channel: email
    account: main
    secrets: {reply_token: "env:CHAPAR_SECRET_DEMO__EMAIL_SECRET"}
    settings: {address: support@demo.example, smtp_url: "env:CHAPAR_SECRET_DEMO__SMTP_URL"}
""",
        "bank": "",
    }
)


def configuration(tenant: str) -> str:
    """Return the configuration of a tenant, as a YAML file."""
    agents = "\n".join(
        f"  - {{agent_id: {agent}, display_name: Agent {agent}, pool: default}}" for agent in AGENTS[tenant]
    )
    name = tenant.upper()
    return f"""\
tenant: {tenant}
default_language: en
time_zone: UTC
default_region: IR
pools:
  - {{name: default, session_lease: 10s, assignment_grace: 20s}}
queues:
  - name: sales
    pool: default
    titles: {{en: Sales}}
    choice: longest_idle
    offer_timeout: 5s
    wrap_up: 1s
    ageing_per_minute: 1
    service_level: 2s
  - name: support
    pool: default
    titles: {{en: Support}}
    choice: load_ratio
    order: deadline
    offer_timeout: 5s
    ageing_per_minute: 1
    service_level: 2s
capacity_profiles:
  - name: standard
    total: 100
    channels:
      - {{channel: webchat, weight: 20, maximum: 4}}
      - {{channel: email, weight: 10, maximum: 4}}
    default_weight: 20
agents:
{agents}
rules:
  - {{name: buys, when: 'text.contains("buy")', queue: sales, priority: 3}}
  - {{name: everything else, queue: support}}
channels:
  - channel: webchat
    account: main
    secrets: {{visitor_token: "env:CHAPAR_SECRET_{name}__WEBCHAT_SECRET"}}
  - channel: webhook
    account: main
    secrets: {{signing_secret: "env:CHAPAR_SECRET_{name}__WEBHOOK_SECRET"}}
  - channel: grpc
    account: default
{_CHANNELS[tenant]}sla_policies:
  - name: all
    targets:
      - {{kind: pick_up, desired: 2s, adequate: 4s, warn_at: [0.5], escalate_priority: 5}}
      - {{kind: first_response, desired: 5s, adequate: 15s, warn_at: [0.75]}}
      - {{kind: next_response, desired: 5s, adequate: 15s}}
      - {{kind: resolution, desired: 15s, adequate: 30s, warn_at: [0.9]}}
surveys:
  - name: how was it
    kind: csat
    sampling: 1
    least_gap: 0s
    expires_after: 1h
    questions: {{en: How satisfied were you? (1 to 5)}}
least_responses: 5
templates:
  - name: survey_invitation
    texts: {{en: "{{question}} {{link}}"}}
"""
