"""Files of web chat: `POST /v1/{tenant}/webchat/{account}/files?name=…`, with the bytes as the body.

The request carries the same proof as the socket: `Authorization: Bearer <visitor token>`, or `X-Chapar-Identifier` and
`X-Chapar-Identifier-Hash`. The bytes go into the store as they arrive. The answer, when they are stored, has a receipt,
which the client sends in a message: {"type": "message", "id": "…", "text": "", "files": ["<receipt>"]}.
"""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chapar.ingest.v1 import records_pb2
from services.chassis.errors import ChaparError, ErrorKind, problem
from services.chassis.http import peer_key
from services.chassis.ids import derive, random_id
from services.chassis.pacing import Rate
from services.ingest.adapters.edges.http_answers import problem_response
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter
from services.ingest.adapters.edges.required_secrets import require_secret
from services.ingest.adapters.edges.webchat_hub import CHANNEL
from services.ingest.adapters.edges.webchat_origin import origin_allowed, origins_of
from services.ingest.adapters.files.links import PATH, FileLinks
from services.ingest.adapters.files.uploads import UploadReceipts
from services.ingest.domain.files.places import FilePlace, file_id_of
from services.ingest.domain.files.policy import FileRefusal
from services.ingest.domain.limits import Limiter
from services.ingest.domain.normalise.message import IncomingAttachment
from services.ingest.domain.normalise.proof import identifier_hash
from services.ingest.domain.normalise.webchat import MAX_IDENTIFIER, visitor_of
from services.ingest.domain.reasons import Reason
from services.ingest.ports import Account, Accounts, Files, Kept, Secrets
from services.ingest.translate.edges import identity_id_of

_PER_VISITOR: Final = Rate(0.2, 20)
_MAX_NAME: Final = 1000


class WebchatFiles:
    """Takes uploads, and describes files to the page."""

    def __init__(
        self,
        accounts: Accounts,
        secrets: Secrets,
        limiter: IngressLimiter,
        files: Files,
        links: FileLinks,
        receipts: UploadReceipts,
        *,
        origins: tuple[str, ...],
        token_s: float,
    ) -> None:
        self._accounts = accounts
        self._secrets = secrets
        self._limiter = limiter
        self._files = files
        self._links = links
        self._receipts = receipts
        self._origins = origins
        self._token_s = token_s
        self._uploads = Limiter(_PER_VISITOR)

    async def __call__(self, request: Request) -> Response:
        """Take one upload."""
        try:
            kept = await self._upload(request)
        except ChaparError as error:
            self._limiter.refuse(CHANNEL, error.reason)
            return problem_response(problem(error))
        except ClientDisconnect:
            self._limiter.refuse(CHANNEL, Reason.DISCONNECTED)
            return Response(status_code=400)
        body = {"file": self._receipts.receipt(kept), "name": kept.name, "type": kept.content_type, "size": kept.size}
        return Response(msgspec.json.encode(body), media_type="application/json")

    def attached(self, account: Account, owner_id: str, receipts: list[str]) -> tuple[IncomingAttachment, ...]:
        """Return the files of a message's receipts. Raises INVALID."""
        found = [self._receipts.read(each, account.tenant, owner_id) for each in receipts]
        files = tuple(each for each in found if each is not None)
        if len(files) < len(found):
            raise ChaparError(ErrorKind.INVALID, Reason.INVALID_FIELD, "files: upload the files again")
        return files

    def shown(self, tenant: str, message: records_pb2.ConversationMessage) -> list[dict[str, object]]:
        """Return a message's files as the page gets them, with links on this host."""
        return [
            {
                "name": each.name,
                "type": each.content_type,
                "size": each.size,
                "url": PATH + self._links.token(FilePlace(tenant, each.owner_id, each.file_id))[0],
            }
            for each in message.attachments
            if each.state == records_pb2.ATTACHMENT_STATE_STORED
        ]

    async def _upload(self, request: Request) -> Kept:
        account = self._accounts.find(request.path_params["tenant"], CHANNEL, request.path_params["account"])
        if account is None:
            raise ChaparError(ErrorKind.NOT_FOUND, Reason.UNKNOWN_ACCOUNT, "there is no such account")
        if not origin_allowed(request.headers, origins_of(account, self._origins)):
            raise ChaparError(ErrorKind.PERMISSION_DENIED, Reason.ORIGIN_REFUSED, "this page may not use the chat")
        owner = identity_id_of(account, self._proven(account, request))
        wait_s = self._uploads.take(owner, self._limiter.now_ms())
        if wait_s > 0:
            raise ChaparError(
                ErrorKind.EXHAUSTED, Reason.SENDER_RATE, "too many files; send it again later", retry_after_s=wait_s
            )
        stated = request.headers.get("content-length", "")
        if stated.isascii() and stated.isdecimal() and len(stated) < 16 and self._files.policy.of_size(int(stated)):
            raise _refused(FileRefusal.TOO_LARGE)
        place = FilePlace(account.tenant, owner, file_id_of(derive, owner, 0, random_id()))
        kept = await self._files.keep(place, request.query_params.get("name", "")[-_MAX_NAME:], _body(request))
        if kept.refusal:
            raise _refused(kept.refusal)
        return kept

    def _proven(self, account: Account, request: Request) -> str:
        """Return the native id of the visitor. Raises UNAUTHENTICATED."""
        now_s = self._limiter.now_ms() // 1000
        identifier = request.headers.get("x-chapar-identifier", "")
        if identifier:
            given = request.headers.get("x-chapar-identifier-hash", "")
            secret = require_secret(self._secrets, account, "identity_secret")
            if len(identifier) <= MAX_IDENTIFIER and identifier_hash(secret, identifier, given) is None:
                return f"user:{identifier}"
        else:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            secret = require_secret(self._secrets, account, "visitor_token")
            known = visitor_of(token, secret, f"{account.tenant}/{account.account}", now_s, self._token_s)
            if known is not None:
                return f"visitor:{known}"
        peer = peer_key(request.client.host if request.client is not None else "")
        again = self._limiter.failed_proof(account, peer, Reason.VISITOR_TOKEN)
        raise again or ChaparError(ErrorKind.UNAUTHENTICATED, Reason.VISITOR_TOKEN, "the visitor is not proven")


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


def _refused(why: FileRefusal) -> ChaparError:
    kind = ErrorKind.TOO_LARGE if why is FileRefusal.TOO_LARGE else ErrorKind.INVALID
    return ChaparError(kind, f"FILE_{why.name}", "this file can't be sent here")
