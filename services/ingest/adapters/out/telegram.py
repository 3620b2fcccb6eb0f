"""Sends by Telegram's Bot API.

The token is part of the URL, so the URL is never logged.
"""

from dataclasses import replace
from typing import Any

import msgspec

from services.chassis.outgoing import Outgoing
from services.ingest.adapters.out.account import SendingAccount
from services.ingest.adapters.out.client import Part
from services.ingest.adapters.out.http import Answer, post_json
from services.ingest.adapters.out.multipart import form
from services.ingest.domain import retry_classes
from services.ingest.domain.messages import Route
from services.ingest.domain.retry_classes import PartResult
from services.ingest.domain.sent_files import is_photo


class TelegramClient:
    """Settings: `base_url`. Secrets: `bot_token`."""

    def __init__(self, http: Outgoing, uploads: Outgoing | None = None) -> None:
        """`uploads`: for files, whose calls may take longer."""
        self._http = http
        self._uploads = uploads or http

    async def send(self, part: Part, account: SendingAccount) -> PartResult:
        """Send one message: a text (sendMessage), or a file (sendPhoto, sendDocument)."""
        token = account.secret("bot_token")
        base = account.setting("base_url").rstrip("/")
        context = part.route.context
        body: dict[str, Any] = {"chat_id": _number(self.recipient(part.route)[0])}
        if context.get("message_thread_id"):
            body["message_thread_id"] = _number(context["message_thread_id"])
        connection = context.get("business_connection_id", "")
        if connection:
            body["business_connection_id"] = connection
        if part.files:
            (file,) = part.files
            photo = is_photo(file.content_type, len(file.content))
            method, field = ("sendPhoto", "photo") if photo else ("sendDocument", "document")
            if part.text:
                body["caption"] = part.text
            kind, content = form({name: str(value) for name, value in body.items()}, field, file)
            http, headers = self._uploads, {"content-type": kind}
        else:
            method, content = "sendMessage", msgspec.json.encode({**body, "text": part.text})
            http, headers = self._http, {}
        answer = await post_json(http, account.tenant, f"{base}/bot{token}/{method}", content, headers)
        if not isinstance(answer, Answer):
            return answer
        result = retry_classes.telegram(answer.status, answer.body, answer.retry_after)
        # Chats of a business account have numbers of their own: reactions and answers name them with the connection.
        native_id = f"{connection}:{result.native_id}" if connection and result.native_id else result.native_id
        return replace(result, native_id=native_id)

    def recipient(self, part_route: Route) -> tuple[str, bool]:
        """Return the chat; groups have negative ids."""
        chat_id = part_route.context.get("chat_id") or part_route.identity.native_id
        return chat_id, chat_id.startswith("-")


def _number(text: str) -> int | str:
    return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdecimal() and len(text) < 20 else text
