"""Sends replies to another system's URL, signed by the Standard Webhooks specification.

An account without `reply_url` has its replies only in the conversation, which the other system reads by gRPC
(WatchConversation).
"""

from collections.abc import Callable

import msgspec

from services.chassis.outgoing import Outgoing
from services.ingest.adapters.out.account import SendingAccount, Unconfigured
from services.ingest.adapters.out.client import Part
from services.ingest.adapters.out.http import Answer, post_json
from services.ingest.domain import retry_classes
from services.ingest.domain.deliveries import Outcome
from services.ingest.domain.files.places import FilePlace
from services.ingest.domain.messages import Route
from services.ingest.domain.reasons import Reason
from services.ingest.domain.retry_classes import PartResult
from services.policy.model.webhook_keys import key_of
from services.webhooks.delivery import signature


class WebhookClient:
    """Settings: `reply_url`. Secrets: `signing_secret` ("whsec_…")."""

    def __init__(self, http: Outgoing, link: Callable[[FilePlace], str] = lambda _place: "") -> None:
        """`link`: returns an address of a file that expires; empty when this process has none."""
        self._http = http
        self._link = link

    async def send(self, part: Part, account: SendingAccount) -> PartResult:
        """Send one signed POST; the receiver can drop a duplicate by `webhook-id`, the delivery's id."""
        url = account.setting("reply_url")
        if not url:
            return PartResult(outcome=Outcome.ACCEPTED, reason=Reason.CONVERSATION_ONLY)
        key = key_of(account.secret("signing_secret"))
        if key is None:
            raise Unconfigured("signing_secret")
        body = msgspec.json.encode(
            {
                "type": "chapar.message",
                "message_id": part.delivery_id,
                "conversation_id": part.conversation_id,
                "interaction_id": part.interaction_id,
                "customer": {"id": part.route.identity.native_id},
                "in_reply_to": part.route.context.get("message_id", ""),
                "text": part.text,
                "purpose": part.purpose.name.lower(),
                "attachments": [
                    {
                        "id": file.place.file_id,
                        "name": file.name,
                        "content_type": file.content_type,
                        "size": len(file.content),
                        "sha256": file.sha256,
                        "url": self._link(file.place),
                    }
                    for file in part.files
                ],
            }
        )
        stamp = str(part.now_ms // 1000)
        answer = await post_json(
            self._http,
            account.tenant,
            url,
            body,
            {
                "webhook-id": part.delivery_id,
                "webhook-timestamp": stamp,
                "webhook-signature": signature(key, part.delivery_id, stamp, body),
            },
        )
        if not isinstance(answer, Answer):
            return answer
        return retry_classes.webhook(answer.status, answer.retry_after)

    def recipient(self, part_route: Route) -> tuple[str, bool]:
        """Return the customer's id in the other system."""
        return part_route.identity.native_id, False
