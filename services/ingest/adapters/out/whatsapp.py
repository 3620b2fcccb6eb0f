"""Sends by the WhatsApp Cloud API: texts, and approved templates. The core sends no text when the provider's time for free
replies is over (`domain/reply_window.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from services.chassis.outgoing import Outgoing
from services.ingest.adapters.out.account import SendingAccount
from services.ingest.adapters.out.attached import OutFile
from services.ingest.adapters.out.client import Part
from services.ingest.adapters.out.http import Answer, post_json
from services.ingest.adapters.out.multipart import form
from services.ingest.domain import retry_classes
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.delivery_reference import DeliveryReference, reference_text
from services.ingest.domain.messages import Route
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_classes import PartResult
from services.ingest.domain.sent_files import whatsapp_kind


class WhatsAppClient:
    """Settings: `base_url`, `api_version`, `phone_number_id`. Secrets: `access_token`."""

    def __init__(self, http: Outgoing, uploads: Outgoing | None = None) -> None:
        """`uploads`: for files, whose calls may take longer."""
        self._http = http
        self._uploads = uploads or http

    async def send(self, part: Part, account: SendingAccount) -> PartResult:
        """Send one message: a text, or a file, which is uploaded first. A customer sees nothing of an upload, so that it can be
        repeated, whatever became of it."""
        token = account.secret("access_token")
        number = account.setting("phone_number_id") or part.route.context.get("phone_number_id", "")
        number = number or account.required("phone_number_id")
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": part.route.context.get("recipient_type", "individual"),
            "to": self.recipient(part.route)[0],
            # Status reports repeat it, also when the answer to this request is lost.
            "biz_opaque_callback_data": reference_text(
                DeliveryReference(part.conversation_id, part.delivery_id, part.index + 1, part.count)
            ),
        }
        base, version = account.setting("base_url").rstrip("/"), account.setting("api_version")
        url = f"{base}/{version}/{number}"
        headers = {"authorization": f"Bearer {token}"}
        if part.files:
            (file,) = part.files
            media = await self._uploaded(account.tenant, f"{url}/media", headers, file)
            if isinstance(media, PartResult):
                return media
            kind = whatsapp_kind(file.content_type)
            body |= {"type": kind, kind: {"id": media}}
            if part.text and kind != "audio":
                body[kind]["caption"] = part.text
            if kind == "document":
                body[kind]["filename"] = file.name or "file"
        else:
            body |= _content(part)
        answer = await post_json(self._http, account.tenant, f"{url}/messages", msgspec.json.encode(body), headers)
        if not isinstance(answer, Answer):
            return answer
        return retry_classes.whatsapp(answer.status, answer.body, answer.retry_after)

    async def _uploaded(self, tenant: str, url: str, headers: Mapping[str, str], file: OutFile) -> str | PartResult:
        kind, content = form({"messaging_product": "whatsapp", "type": file.content_type}, "file", file)
        answer = await post_json(self._uploads, tenant, url, content, {**headers, "content-type": kind})
        if not isinstance(answer, Answer):
            return answer if answer.outcome is Outcome.HALTED else replace(answer, outcome=Outcome.RETRY)
        media = answer.body.get("id") if answer.status == 200 and answer.body is not None else None
        if isinstance(media, str) and media:
            return media
        failed = retry_classes.whatsapp(answer.status, answer.body, answer.retry_after)
        again = failed.outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED)
        return replace(failed, outcome=Outcome.RETRY, reason=Reason.UNREADABLE_ANSWER) if again else failed

    def recipient(self, part_route: Route) -> tuple[str, bool]:
        """Return the customer's number or user id."""
        return part_route.context.get("to") or part_route.identity.native_id, False


def _content(part: Part) -> dict[str, Any]:
    """Return the part of the request that has the words of a text or a template."""
    if part.template is None:
        return {"type": "text", "text": {"preview_url": False, "body": part.text}}
    values = [{"type": "text", "text": value} for value in part.template.parameters]
    template: dict[str, Any] = {"name": part.template.name, "language": {"code": part.template.language}}
    if values:
        template["components"] = [{"type": "body", "parameters": values}]
    return {"type": "template", "template": template}
