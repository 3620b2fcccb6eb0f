"""What a person has opted out of, by gRPC: refused with its reason, also after the identities are linked and unlinked."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from httpx import AsyncClient

from chapar.common.v1 import types_pb2
from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import ingest_pb2, ingest_pb2_grpc, records_pb2
from services.chassis.ids import derive
from tests.integration.ingest.edges.conftest import Edges, ingest, install, routed
from tests.integration.ingest.edges.test_grpc import a_customer, channel, decided, the_refusal
from tests.integration.ingest.edges.test_http_bad_input import whatsapp_body, whatsapp_headers

pytestmark = pytest.mark.kafka
PHONE = "989120000000"
TEMPLATES = (("news", config_pb2.TEMPLATE_CATEGORY_MARKETING), ("order", config_pb2.TEMPLATE_CATEGORY_UTILITY))
OPTED_OUT = (grpc.StatusCode.FAILED_PRECONDITION, "OPTED_OUT")


async def a_phone(edges: Edges) -> str:
    """Let a customer write by WhatsApp; returns the identity."""
    item = {"from": PHONE, "id": "wamid.1", "timestamp": "1770000000", "type": "text", "text": {"body": "hello"}}
    body = whatsapp_body([item])
    async with AsyncClient() as http:
        answer = await http.post(edges.url("/v1/demo/whatsapp/main"), content=body, headers=whatsapp_headers(body))
    assert answer.status_code == 200, json.dumps(answer.json())
    return derive("demo", "whatsapp", "main", PHONE)


async def test_marketing_is_refused_whatever_is_linked(
    kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """`Send` of a MARKETING template as a reply: it is the template's category that counts. Other templates are sent."""
    settings, tenant = kafka.settings(prefix), routed()
    account = next(each for each in tenant.channels if each.channel == "whatsapp")
    for name, category in TEMPLATES:
        account.approved_templates.add(name=name, language="en", body="Hello!", category=category)
    await install(settings, tenant)
    async with (
        ingest(settings, tmp_path, role="all", history=True) as edges,
        channel(edges) as (opened, token),
    ):
        phone, (ann, _) = await a_phone(edges), await a_customer(edges, "ann")
        outbound, people = ingest_pb2_grpc.OutboundServiceStub(opened), ingest_pb2_grpc.PersonServiceStub(opened)
        options: dict[str, Any] = {"metadata": token, "timeout": 20}

        def send(key: str, template: str) -> Any:
            request = ingest_pb2.SendRequest(
                idempotency_key=key,
                identity_id=phone,
                purpose=records_pb2.OUTBOUND_PURPOSE_REPLY,
                template=types_pb2.TemplateChoice(name=template),
            )
            return outbound.Send(request, **options)

        def notify(key: str) -> Any:
            purpose = records_pb2.OUTBOUND_PURPOSE_NOTICE
            request = ingest_pb2.SendRequest(idempotency_key=key, identity_id=ann, purpose=purpose, text="News!")
            return outbound.Send(request, **options)

        async def prefer(key: str, identity_id: str, *opt_outs: records_pb2.OptOut) -> None:
            request = ingest_pb2.SetPreferencesRequest(idempotency_key=key, identity_id=identity_id, opt_outs=opt_outs)
            await people.SetPreferences(request, **options)

        def link(key: str) -> Any:
            request = ingest_pb2.LinkIdentityRequest(
                idempotency_key=key, identity_id=phone, home_identity_id=ann, evidence="signed-login"
            )
            return people.LinkIdentity(request, **options)

        assert (await decided(edges, lambda: send("s1", "news"))).delivery_id == derive("demo", "s1")
        nothing = records_pb2.OptOut(scope=records_pb2.OPT_OUT_SCOPE_PROACTIVE)
        await prefer("p1", phone, nothing)
        assert await the_refusal(send("s2", "news")) == OPTED_OUT
        assert (await send("s3", "order")).delivery_id == derive("demo", "s3")
        await decided(edges, lambda: link("l1"))
        assert await the_refusal(notify("n1")) == OPTED_OUT
        await people.UnlinkIdentity(
            ingest_pb2.UnlinkIdentityRequest(idempotency_key="u1", identity_id=phone), **options
        )
        await prefer("p2", ann)
        assert (await notify("n2")).delivery_id == derive("demo", "n2")
        assert await the_refusal(send("s5", "news")) == OPTED_OUT
        await prefer("p3", phone)
        assert (await send("s6", "news")).delivery_id == derive("demo", "s6")
