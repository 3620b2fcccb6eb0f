"""Where outside text arrives, and which functions there need not be walked with hostile input, with the reason.

A reason is for a function, or for a module whose public functions all share it. New modules have no reason: they are asked for one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

WALKED: Final = (
    "services/chassis/*.py",
    "services/chassis/grpc/*.py",
    "services/chassis/kafka/*.py",
    "services/ingest/domain/**/*.py",
    "services/ingest/adapters/**/*.py",
    "services/ingest/history/*.py",
    "services/ingest/translate_*.py",
    "services/feedback/adapters/*.py",
    "services/feedback/domain/*.py",
    "services/feedback/handlers.py",
    "services/feedback/translate*.py",
    "services/router/adapters/*.py",
    "services/router/translate/*.py",
    "services/sla/adapters/*.py",
    "services/sla/translate/*.py",
)

_OURS: Final = "the text is ours: a name, a reason or a setting of the program or its operator"
_CONFIGURED: Final = "the text is configuration, which lint and the schema have bounded"
_ID: Final = "an id of ours, compared or used as a key; its length is bounded where it comes in"
_LOG: Final = "bytes of our own topics, handed on as they are or decoded by protobuf in time linear in them"
_CALLS: Final = "hands the text to functions that are in the registry, after a bound of its own or theirs"

_MODULES: Final = {
    _OURS: (
        "chassis.cluster_topics chassis.config_reader chassis.endpoints chassis.health chassis.http chassis.lifecycle chassis.metrics"
        " chassis.secrets chassis.settings chassis.topics chassis.grpc.client chassis.grpc.server chassis.kafka.clients"
        " chassis.kafka.groups ingest.adapters.edges.needed ingest.history.database router.adapters.partitions router.adapters.outcomes"
        " router.translate.numbers feedback.adapters.analytics_faust"
    ),
    _CONFIGURED: (
        "ingest.domain.acknowledgement ingest.domain.policy ingest.domain.rules ingest.adapters.edges.accounts ingest.adapters.out.account"
        " feedback.adapters.configuration feedback.adapters.page_texts feedback.adapters.dates feedback.domain.quiet feedback.domain.survey"
        " router.translate.configuration sla.adapters.periods sla.translate.configuration"
    ),
    _ID: (
        "ingest.domain.attempts ingest.domain.conversations ingest.domain.decisions ingest.domain.deliveries ingest.domain.follow_ups"
        " ingest.domain.halts ingest.domain.limits ingest.domain.seen ingest.adapters.edges.door ingest.adapters.edges.webchat_history"
        " ingest.adapters.edges.webchat_hub ingest.adapters.out.worker ingest.history.queries ingest.history.store"
        " feedback.domain.people feedback.domain.recovery feedback.domain.scores feedback.domain.windows router.adapters.command_bus"
        " router.adapters.desk_session router.adapters.mutations router.adapters.shard_metrics router.adapters.shards"
        " router.translate.effects router.translate.views sla.adapters.insight_model sla.adapters.measures_service"
        " sla.adapters.read_model sla.translate.events sla.translate.measure_views"
    ),
    _LOG: (
        "chassis.kafka.contract chassis.kafka.deadletters chassis.kafka.outbox chassis.kafka.producer chassis.kafka.tail"
        " ingest.domain.intake ingest.history.mapping_routing ingest.translate_edges feedback.adapters.counting_desk"
        " feedback.adapters.relay_lane feedback.adapters.score_log feedback.adapters.survey_lane feedback.translate"
        " feedback.translate_counting feedback.translate_scores feedback.translate_survey feedback.adapters.webhook_answers"
        " router.adapters.feed router.adapters.shard router.translate.commands sla.adapters.broadcast sla.adapters.lane sla.adapters.notices"
    ),
    _CALLS: (
        "ingest.adapters.edges.grpc_follow_up ingest.adapters.edges.http_webhooks ingest.adapters.edges.mail_workers"
        " ingest.adapters.edges.publisher ingest.adapters.edges.smtp_in ingest.adapters.edges.telegram_in"
        " ingest.adapters.edges.webhook_in ingest.adapters.edges.whatsapp_in ingest.history.reader feedback.adapters.scores_api"
        " feedback.adapters.scores_view feedback.adapters.views"
    ),
}
_FUNCTIONS: Final = {
    _OURS: (
        "chassis.cursors.encode_cursor chassis.errors.invalid chassis.logs.configure_logging chassis.logs.get_logger"
        " chassis.tokens.mint chassis.tokens.Verifier.from_secret chassis.tokens.seconds_left chassis.tracing.Tracing.start"
        " chassis.tracing.Tracing.span chassis.tracing.Tracing.annotate chassis.grpc.auth.rule_of ingest.history.cursor.encode"
        " ingest.domain.sending.backoff_ms ingest.domain.channel_rules.channel_rules feedback.adapters.links.link_key"
        " feedback.handlers.filled feedback.handlers.Answering.refuse sla.translate.views.cursor_of sla.translate.views.ranked_cursor_of"
        " sla.translate.views.group_cursor_of router.adapters.paging.after_agent ingest.history.story.step"
    ),
    _ID: (
        "chassis.logs.bound chassis.logs.bind ingest.domain.normalise.webchat.issue_token ingest.domain.reply_token.reply_token"
        " ingest.domain.reply_token.message_id feedback.adapters.kept.invitation_key feedback.adapters.kept.asked_key"
        " router.translate.codec.entity_key router.translate.desk.to_routing sla.translate.insight_state.story_key"
        " sla.translate.insight_state.contact_key sla.translate.state.work_key sla.translate.state.plan_key"
        " sla.translate.state.version_key ingest.domain.normalise.message.Collected.add ingest.translate_lanes.IntakeState.customer_key"
        " ingest.translate_lanes.IntakeState.seen_key ingest.translate_sender.SenderState.thread_key ingest.translate_sender.SenderState.seen_key"
        " ingest.translate_lanes.routing_key"
    ),
    _LOG: (
        "chassis.kafka.changelog.Restored.apply chassis.kafka.changelog.read_changelog chassis.grpc.status.from_status"
        " ingest.translate_lanes.request_record ingest.translate_lanes.customer_message ingest.translate_lanes.conversation_record"
        " ingest.translate_lanes.routing_command ingest.translate_lanes.answer_command ingest.translate_sender.finished_record"
        " ingest.translate_sender.delivery_record ingest.translate_sender.dead_letter sla.translate.insight_state.restore"
    ),
    _CALLS: (
        "chassis.webhooks.attempt ingest.adapters.edges.grpc_submit.Submitter.submit ingest.domain.normalise.webchat.visitor"
        " ingest.adapters.out.http.post_json ingest.domain.retry_classes.telegram ingest.domain.retry_classes.whatsapp"
        " ingest.domain.retry_classes.webhook ingest.domain.retry_classes.smtp feedback.adapters.page_form.Form.missing"
        " feedback.adapters.page_form.Form.answer feedback.adapters.page_form.Form.shown feedback.handlers.Answering.submit"
    ),
}

EXCUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"services.{name}": reason
        for group in (_MODULES, _FUNCTIONS)
        for reason, names in group.items()
        for name in names.split()
    }
)
