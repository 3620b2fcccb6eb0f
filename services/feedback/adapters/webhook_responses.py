"""Webhook notices of responses, one for each webhook that subscribes to it.

A webhook gets a response (counted or amended) if it subscribes to "feedback.answered" or a category rule of the
response names it, and a recovery if it subscribes to "feedback.recovery". The notice contains ids, scores and
categories; it contains the customer's text only if the webhook subscribes to "feedback.answered.text", because the text
is personal data. A notice's id derives from event and webhook, so a repetition has the same id.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from chapar.common.v1.webhook_pb2 import WebhookNotice
from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.chassis.ids import derive
from services.feedback.translate.counting import counted_response
from services.policy.model.counting import Counting
from services.policy.model.webhooks import Endpoint, WebhookEvent

TOPIC: Final = "feedback.webhooks.v1"


def notices(record: pb.FeedbackRecord, webhooks: Mapping[str, Endpoint], how: Counting) -> list[WebhookNotice]:
    """Return the notices of one record of feedback.responses.v1."""
    response = counted_response(record)
    if response is not None:
        named = frozenset[str]().union(*(how.routes.get(category, frozenset()) for category in response.categories))
        return [
            _notice(
                record,
                hook,
                WebhookEvent.ANSWERED,
                _answered(response, record, texts=WebhookEvent.ANSWERED_TEXT in endpoint.events),
            )
            for hook, endpoint in sorted(webhooks.items())
            if WebhookEvent.ANSWERED in endpoint.events
            or WebhookEvent.ANSWERED_TEXT in endpoint.events
            or hook in named
        ]
    if record.WhichOneof("record") in ("recovery_due", "recovery_opened"):
        document = _recovered(record)
        return [
            _notice(record, hook, WebhookEvent.RECOVERY, document)
            for hook, endpoint in sorted(webhooks.items())
            if WebhookEvent.RECOVERY in endpoint.events
        ]
    return []


def _notice(record: pb.FeedbackRecord, hook: str, event: str, data: Mapping[str, Any]) -> WebhookNotice:
    body = {"type": event, "timestamp_ms": record.occurred_at_ms, "tenant": record.tenant, "data": data}
    return WebhookNotice(
        tenant=record.tenant,
        webhook=hook,
        message_id="msg_" + derive(record.event_id, hook),
        person_id=record.person_id,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
    )


def _answered(response: pb.ResponseCounted, record: pb.FeedbackRecord, *, texts: bool) -> dict[str, Any]:
    about = response.subject
    document: dict[str, Any] = {
        "invitation_id": response.invitation_id,
        "interaction_id": about.interaction_id,
        "conversation_id": about.conversation_id,
        "person_id": record.person_id,
        "survey": response.survey,
        "channel": about.channel,
        "queue": about.queue,
        "agent_ids": list(about.agent_ids) or ([about.agent_id] if about.agent_id else []),
        "revision": response.revision or 1,
        "amended": record.WhichOneof("record") == "amended",
        "categories": list(response.categories),
        "scores": [{"question": "", "kind": _kind(response.kind), "score": response.score}]
        if response.kind != config.SURVEY_KIND_TEXT
        else [],
    }
    for answer in response.answers:
        if answer.question_id and answer.kind != config.SURVEY_KIND_TEXT:
            document["scores"].append(
                {"question": answer.question_id, "kind": _kind(answer.kind), "score": answer.score}
            )
    if texts:
        document["comment"] = response.comment
        document["texts"] = {each.question_id: each.text for each in response.answers if each.text}
    return document


def _recovered(record: pb.FeedbackRecord) -> dict[str, Any]:
    if record.WhichOneof("record") == "recovery_due":
        due = record.recovery_due
        document = {"state": "due", "rule": due.rule, "score": due.score, "queue": due.queue}
        return {"invitation_id": due.invitation_id, "interaction_id": due.subject.interaction_id, **document}
    opened = record.recovery_opened
    return {
        "invitation_id": opened.invitation_id,
        "interaction_id": opened.subject.interaction_id,
        "state": "opened",
        "recovery_interaction_id": opened.interaction_id,
    }


def _kind(value: "config.SurveyKind.ValueType") -> str:
    return (
        config.SurveyKind.Name(value).removeprefix("SURVEY_KIND_").lower()
        if value in config.SurveyKind.values()
        else ""
    )
