"""The next steps that `chapar run` prints, for the tenant that runs: its accounts, its agents, its pools and its language."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

from chapar.config.v1 import config_pb2

DEFAULT_POOL: Final = "default"
ACCOUNT: Final = "main"
"""The account that `chapar send` writes to unless another is named."""
_QUESTIONS: Final = {"fa": "سلام، قیمت چاپار چند است؟"}
_QUESTION: Final = "Hello, what does it cost?"
_PROVIDERS: Final = ("telegram", "whatsapp", "webhook")


def hints(configuration: config_pb2.TenantConfiguration, endpoints: Mapping[str, str]) -> list[str]:
    """Return the lines, without those of channels that the tenant does not have. `endpoints`: addresses of ingest, by server."""
    return [*_customers(configuration, endpoints), *_addresses(configuration, endpoints), *_agents(configuration)]


def _customers(configuration: config_pb2.TenantConfiguration, endpoints: Mapping[str, str]) -> Iterator[str]:
    chats = [a.account for a in configuration.channels if a.channel == "webchat"]
    hooks = [a.account for a in configuration.channels if a.channel == "webhook"]
    if chats:
        yield "# a customer writes (web chat in the browser):"
        for account in chats:
            yield f"http://{endpoints['http']}/chat?tenant={configuration.tenant}&account={quote(account)}"
        yield ""
    if hooks:
        question = _QUESTIONS.get(configuration.default_language, _QUESTION)
        yield "# or with curl, as a system that signs its webhooks:" if chats else "# a customer writes, with curl:"
        for account in hooks:
            named = "" if account == ACCOUNT else f" --account {shlex.quote(account)}"
            yield f".venv/bin/chapar send{named} --curl {shlex.quote(question)}"
        yield ""
    if not chats and not hooks:
        yield "# to try it, add an account of the channel `webchat` or `webhook` to the configuration"
        yield ""


def _addresses(configuration: config_pb2.TenantConfiguration, endpoints: Mapping[str, str]) -> Iterator[str]:
    found = [
        f"{a.channel} {a.account}: http://{endpoints['http']}/v1/{configuration.tenant}/{a.channel}/{quote(a.account)}"
        for a in configuration.channels
        if a.channel in _PROVIDERS
    ]
    if "smtp" in endpoints:
        found += [
            f"email {a.account}: mail to {a.settings['address']} by SMTP at {endpoints['smtp']}"
            for a in configuration.channels
            if a.channel == "email" and a.settings.get("address")
        ]
    if found:
        yield "# where providers and other systems send messages:"
        yield from found
        yield ""


def _agents(configuration: config_pb2.TenantConfiguration) -> Iterator[str]:
    if configuration.agents:
        agent = configuration.agents[0]
        yield "# an agent replies, in a second terminal:"
        yield f".venv/bin/chapar agents desk {shlex.quote(agent.agent_id)}{_pool(agent.pool)}"
    else:
        yield "# an agent replies: add one to `agents` of the configuration, then `.venv/bin/chapar agents desk ID`"
    yield ""
    yield "# look around:"
    for pool in configuration.pools or [config_pb2.Pool(name=DEFAULT_POOL)]:
        yield f".venv/bin/chapar queues --watch{_pool(pool.name)}"
    yield ".venv/bin/chapar interactions list"


def _pool(name: str) -> str:
    return "" if name in ("", DEFAULT_POOL) else f" --pool {shlex.quote(name)}"
