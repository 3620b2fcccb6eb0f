"""Sends by the WhatsApp Cloud API: texts, and approved templates. The core sends no text when the provider's time for free
replies is over (`domain/reply_window.py`).
"""

from typing import Any

import msgspec

from services.chassis.outgoing import Outgoing
from services.ingest.adapters.out.account import SendingAccount
from services.ingest.adapters.out.client import Part
from services.ingest.adapters.out.http import Answer, post_json
from services.ingest.domain import retry_classes
from services.ingest.domain.delivery_reference import DeliveryReference, reference_text
from services.ingest.domain.messages import Route
from services.ingest.domain.retry_classes import PartResult


class WhatsAppClient:
    """Settings: `base_url`, `api_version`, `phone_number_id`. Secrets: `access_token`."""

    def __init__(self, http: Outgoing) -> None:
        self._http = http

    async def send(self, part: Part, account: SendingAccount) -> PartResult:
        """Send one text message."""
        token = account.secret("access_token")
        number = account.setting("phone_number_id") or part.route.context.get("phone_number_id", "")
        number = number or account.required("phone_number_id")
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": part.route.context.get("recipient_type", "individual"),
            "to": self.recipient(part.route)[0],
            **_content(part),
            # Status reports repeat it, also when the answer to this request is lost.
            "biz_opaque_callback_data": reference_text(
                DeliveryReference(part.conversation_id, part.delivery_id, part.index + 1, part.count)
            ),
        }
        base = account.setting("base_url").rstrip("/")
        version = account.setting("api_version")
        answer = await post_json(
            self._http,
            account.tenant,
            f"{base}/{version}/{number}/messages",
            msgspec.json.encode(body),
            {"authorization": f"Bearer {token}"},
        )
        if not isinstance(answer, Answer):
            return answer
        return retry_classes.whatsapp(answer.status, answer.body, answer.retry_after)

    def recipient(self, part_route: Route) -> tuple[str, bool]:
        """Return the customer's number or user id."""
        return part_route.context.get("to") or part_route.identity.native_id, False


def _content(part: Part) -> dict[str, Any]:
    """Return the part of the request that has the words."""
    if part.template is None:
        return {"type": "text", "text": {"preview_url": False, "body": part.text}}
    values = [{"type": "text", "text": value} for value in part.template.parameters]
    template: dict[str, Any] = {"name": part.template.name, "language": {"code": part.template.language}}
    if values:
        template["components"] = [{"type": "body", "parameters": values}]
    return {"type": "template", "template": template}
