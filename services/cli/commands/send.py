"""`chapar send`: sends a customer's message to the signed webhook, as another system would, or prints it as a curl command."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shlex
import uuid
from typing import Annotated

import httpx
import typer

from chapar.config.v1 import config_pb2
from services.chassis.clock import system_clock
from services.chassis.errors import ChaparError, ErrorKind
from services.cli.config.publishing import current
from services.cli.connection import address_of, execute, kafka_of, tenant_of
from services.cli.local.hints import ACCOUNT
from services.cli.local.webhook_account import signing_secret
from services.cli.local.workspace import Workspace
from services.cli.output import console, emit_json
from services.cli.reasons import Reason


def send(
    text: Annotated[str, typer.Argument(help="The customer's message.")],
    customer: Annotated[str, typer.Option(help="The customer's id in the other system.")] = "customer-1",
    name: Annotated[str, typer.Option(help="The customer's name.")] = "",
    account: Annotated[str, typer.Option(help="The webhook account that gets the message.")] = ACCOUNT,
    curl: Annotated[
        bool, typer.Option("--curl", help="Print the request as a curl command, valid for five minutes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Send a message to a signed webhook of the tenant that runs here (Standard Webhooks)."""
    workspace = Workspace.here()

    async def work() -> tuple[str, dict[str, str], bytes]:
        url, secret = await webhook_of(workspace, account)
        return url, *signed(secret, text, customer, name)

    url, headers, body = execute(work)
    if curl:
        words = ["curl", "-sS", "-X", "POST", url]
        for key, value in headers.items():
            words += ["-H", f"{key}: {value}"]
        typer.echo(shlex.join([*words, "--data-binary", body.decode()]))
        return

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(timeout=10) as http:
            try:
                return await http.post(url, headers=headers, content=body)
            except httpx.HTTPError as error:
                raise ChaparError(
                    ErrorKind.UNAVAILABLE, Reason.NOT_SENT, f"{url} does not answer ({type(error).__name__})"
                ) from error

    answer = execute(post)
    if as_json:
        emit_json({"status": answer.status_code, "body": answer.json() if answer.content else None})
    else:
        console.print(f"{answer.status_code} {answer.text}", markup=False, highlight=False)
    if answer.status_code >= 300:
        raise typer.Exit(1)


async def webhook_of(workspace: Workspace, account: str) -> tuple[str, str]:
    """Return address and signing secret of a webhook account of the tenant that runs here. Raises ChaparError with what to do."""
    url = f"http://{address_of(workspace, 'ingest', 'http')}/v1/{tenant_of(workspace)}/webhook/{account}"
    tenant = tenant_of(workspace)
    configuration = (await current(kafka_of(workspace))).get(tenant, config_pb2.TenantConfiguration(tenant=tenant))
    return url, signing_secret(configuration, account, {**workspace.demo_secrets(), **os.environ})


def signed(secret: str, text: str, customer: str, name: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body by the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`."""
    message_id = f"msg_{uuid.uuid4().hex}"
    person = {"id": customer, "name": name} if name else {"id": customer}
    body = json.dumps({"message_id": message_id, "customer": person, "text": text}, ensure_ascii=False).encode()
    timestamp = str(system_clock() // 1000)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
    return headers, body
