"""The modules that outside text reaches, and the reason for each function there that is not tested with hostile input.

A reason is for one function, or for a module whose public functions all share it. A new module has no reason, so a test asks for one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

WALKED: Final = (
    "services/chassis/*.py",
    "services/chassis/grpc/*.py",
    "services/chassis/kafka/*.py",
    "services/chassis/kafka/transactions/*.py",
    "services/chassis/http/*.py",
    "services/chassis/tokens/*.py",
    "services/chassis/privacy/*.py",
    "services/policy/**/*.py",
    "services/webhooks/*.py",
    "services/ingest/domain/**/*.py",
    "services/ingest/adapters/**/*.py",
    "services/ingest/translate/*.py",
    "services/ingest/lanes/*.py",
    "services/feedback/adapters/*.py",
    "services/feedback/domain/*.py",
    "services/feedback/lanes/*.py",
    "services/feedback/translate/*.py",
    "services/router/adapters/*.py",
    "services/router/lanes/*.py",
    "services/router/translate/*.py",
    "services/sla/adapters/*.py",
    "services/sla/lanes/*.py",
    "services/sla/translate/*.py",
)

_OURS: Final = "the text is ours: a name, a reason or a setting of the program or its operator"
_CONFIGURED: Final = "the text is configuration, which lint and the schema limit"
_ID: Final = "an id of ours, compared or used as a key; its length is limited where it arrives"
_LOG: Final = "bytes of our own topics, passed on unchanged or decoded by protobuf in linear time"
_CALLS: Final = "passes the text to functions in the registry; one of the two limits its length"

_MODULES: Final = {
    _OURS: (
        "chassis.audit_rules chassis.cluster_topics chassis.config_reader chassis.destinations chassis.endpoints"
        " chassis.grpc.client chassis.grpc.following_channel chassis.grpc.server chassis.grpc.service_tokens chassis.health chassis.http.server"
        " chassis.kafka.changelog_formats chassis.kafka.member chassis.kafka.transactions chassis.kafka.writer"
        " chassis.kafka.clients chassis.kafka.groups chassis.kafka.presence chassis.lifecycle chassis.metrics chassis.metrics_catalogue"
        " chassis.combined_gauge chassis.metrics_family"
        " chassis.kafka.evidence chassis.kafka.open_transactions chassis.pinned chassis.outgoing"
        " chassis.privacy.settings chassis.secrets chassis.settings chassis.tokens.minting chassis.tokens.refusals"
        " chassis.tokens.roles chassis.tokens.settings chassis.topics feedback.adapters.analytics_faust"
        " ingest.adapters.edges.required_secrets ingest.adapters.history.database router.adapters.outcomes router.adapters.partitions"
    ),
    _CONFIGURED: (
        "feedback.adapters.configuration feedback.adapters.page_texts"
        " ingest.adapters.edges.accounts ingest.adapters.out.account ingest.domain.acknowledgement"
        " ingest.domain.rules ingest.translate.configuration sla.adapters.periods"
        " policy.findings policy.lint policy.model.groups router.adapters.configured_pools"
        " policy.model.intake policy.model.approved_templates.chosen ingest.domain.reply_window"
        " policy.model.opening_hours policy.model.rules.always_open"
        " ingest.adapters.edges.grpc_templates policy.model.quiet_hours policy.model.routing policy.model.surveys policy.reading"
    ),
    _ID: (
        "ingest.domain.flights"
        " chassis.kafka.partitioning chassis.audit chassis.audit_refusals chassis.grpc.audited chassis.byte_budget chassis.connections"
        " chassis.grpc.request_bytes chassis.grpc.tenant_pace chassis.pacing"
        " chassis.privacy.keyring ingest.adapters.history.fair_reads ingest.adapters.edges.turns router.adapters.boards"
        " chassis.privacy.keystore chassis.privacy.lanes chassis.tokens.remote chassis.tokens.revocations chassis.tokens.sources"
        " feedback.adapters.subjects_grpc feedback.domain.contacts feedback.domain.invitation_policy feedback.domain.people"
        " policy.model.counting feedback.domain.open_interactions feedback.domain.survey_memory"
        " feedback.domain.recovery feedback.domain.scores feedback.domain.windows ingest.adapters.edges.agent_queues"
        " ingest.adapters.edges.ingress_limiter ingest.adapters.edges.erasure ingest.adapters.edges.grpc_audit"
        " ingest.adapters.edges.lane_questions ingest.adapters.edges.tenant_quota ingest.adapters.edges.webchat_gate"
        " ingest.adapters.edges.webchat_history ingest.adapters.edges.webchat_hub ingest.adapters.out.worker"
        " ingest.domain.attempts ingest.domain.belongings ingest.domain.conversations ingest.domain.decisions"
        " ingest.domain.deliveries ingest.domain.fair_queue ingest.domain.flights ingest.domain.follow_ups"
        " ingest.domain.account_breaker ingest.domain.lifetime ingest.domain.focus ingest.domain.form_mailers ingest.domain.participants"
        " ingest.domain.limits ingest.domain.origin ingest.domain.reach ingest.domain.reachability ingest.domain.preferences"
        " ingest.domain.blocking ingest.adapters.history.block_reader"
        " ingest.domain.shared_preferences ingest.adapters.edges.grpc_preferences.PersonWishes.person"
        " ingest.domain.delivery_notices ingest.domain.join_links.link_text ingest.domain.join_links.digest_of ingest.domain.join_links.claim_of"
        " ingest.translate.persons ingest.domain.reply_routes ingest.domain.seen"
        " ingest.adapters.history.audit_reader ingest.adapters.history.queries ingest.adapters.history.names"
        " ingest.adapters.history.store router.adapters.command_bus"
        " router.adapters.desk_session router.adapters.gauges router.adapters.mutations router.adapters.pool_names router.lanes.shard_metrics"
        " router.lanes.shards router.translate.attributes router.translate.events router.translate.views"
        " router.translate.wire sla.adapters.analytics_model"
        " sla.adapters.measures_service sla.adapters.read_model sla.translate.events sla.translate.measure_views"
        " ingest.domain.shared_pace ingest.domain.takeover ingest.lanes.seen_deliveries ingest.lanes.resting"
        " chassis.packed_table ingest.translate.samples feedback.adapters.conversation_batches"
        " ingest.adapters.history.erasure_reports ingest.adapters.history.own_loop ingest.adapters.files.store ingest.domain.files.sweeps"
        " ingest.adapters.files.local_put ingest.adapters.files.clamd"
        " ingest.adapters.history.message_files ingest.adapters.history.file_changes ingest.adapters.out.attached"
        " chassis.packed_table ingest.lanes.resting ingest.translate.samples"
    ),
    _LOG: (
        "ingest.lanes.inbound_records ingest.lanes.intake ingest.lanes.intake_runner ingest.lanes.paced_intake"
        " ingest.lanes.blocked_senders ingest.lanes.intake_counters ingest.lanes.intake_outputs ingest.translate.fetches"
        " ingest.lanes.sender ingest.lanes.sender_runner ingest.lanes.sender_counters ingest.lanes.timers "
        "chassis.kafka.contract chassis.kafka.deadletters chassis.kafka.headers chassis.kafka.outbox chassis.kafka.producer chassis.kafka.tail"
        " chassis.privacy.streams"
        " chassis.privacy.fields chassis.privacy.master chassis.privacy.sealing chassis.questions feedback.lanes.outcome_tracker"
        " feedback.adapters.conversation_batches ingest.lanes.packer"
        " feedback.lanes.agents chassis.kafka.relayed ingest.adapters.history.projection"
        " feedback.adapters.score_log feedback.lanes.survey feedback.adapters.webhook_responses"
        " feedback.translate.records feedback.translate.counting feedback.translate.scores feedback.translate.survey ingest.domain.intake"
        " ingest.domain.openings"
        " ingest.adapters.history.mapping_audit ingest.adapters.history.mapping_persons ingest.adapters.history.message_template.template_of"
        " ingest.adapters.history.mapping_routing"
        " ingest.adapters.history.mapping_sla ingest.translate.edges ingest.translate.erasure"
        " router.adapters.feed router.lanes.shard router.translate.commands sla.adapters.broadcast sla.lanes.deadlines"
        " sla.adapters.notices"
    ),
    _CALLS: (
        "chassis.http.protocol chassis.http.websocket chassis.tokens.claims chassis.tokens.fetching feedback.adapters.scores_api"
        " feedback.adapters.scores_view feedback.adapters.views ingest.adapters.edges.grpc_follow_up"
        " ingest.adapters.edges.http_webhooks ingest.adapters.edges.mail_authentication ingest.adapters.edges.mail_dkim"
        " ingest.adapters.edges.mail_dns ingest.adapters.edges.mail_workers ingest.adapters.edges.publisher"
        " ingest.adapters.edges.worker_process ingest.adapters.edges.webchat_files ingest.adapters.edges.originals"
        " ingest.domain.normalise.originals"
        " ingest.adapters.files.sealed ingest.adapters.files.sources ingest.adapters.edges.thumbnail_process"
        " ingest.adapters.edges.smtp_in ingest.adapters.edges.smtp_session ingest.adapters.edges.telegram_in"
        " ingest.adapters.edges.webhook_in ingest.adapters.edges.whatsapp_in ingest.adapters.history.reader ingest.lanes.packer"
    ),
}
_FUNCTIONS: Final = {
    _OURS: (
        "ingest.adapters.edges.worker_side.send webhooks.retries.Webhooks.tell"
        " chassis.cursors.encode_cursor chassis.errors.invalid chassis.grpc.auth.Authorizer.check_peer"
        " chassis.grpc.auth.Rule.missing chassis.grpc.auth.rule_of chassis.http.proxies.networks_of chassis.keys.tenant_key"
        " chassis.logs.configure_logging chassis.logs.get_logger chassis.tokens.verifier.Verifier.from_secret"
        " chassis.tokens.verifier.Verifier.from_settings chassis.tracing.Tracing.annotate chassis.tracing.Tracing.span"
        " chassis.tracing.Tracing.start feedback.adapters.links.link_key feedback.adapters.handlers.ResponseIntake.refuse"
        " feedback.adapters.handlers.filled ingest.domain.channel_rules.channel_rules ingest.domain.sending.backoff_ms"
        " ingest.domain.files.policy.is_pattern ingest.domain.files.policy.FilePolicy.of_type ingest.adapters.files.links.link_key"
        " ingest.adapters.files.links.SignedTexts.text ingest.adapters.edges.webchat_origin.origins_of"
        " ingest.adapters.history.cursor.encode ingest.adapters.history.story.step router.adapters.paging.after_agent sla.translate.views.cursor_of"
        " sla.translate.views.group_cursor_of sla.translate.views.ranked_cursor_of chassis.finalised.FinalisedFormats.of"
    ),
    _ID: (
        "chassis.logs.bind chassis.logs.bound chassis.kafka.claims.claim_id chassis.kafka.group_topics.GroupTopics.text"
        " feedback.translate.kept.history_key feedback.translate.kept.encode"
        " feedback.translate.kept.invitation_key feedback.translate.kept.open_key"
        " ingest.domain.normalise.message.Collected.add ingest.domain.normalise.webchat.issue_token"
        " ingest.domain.reply_token.message_id"
        " ingest.translate.intake_state.IntakeState.customer_key ingest.translate.intake_state.IntakeState.customer_owner"
        " ingest.translate.intake_state.IntakeState.block_key ingest.translate.intake_state.IntakeState.block_owner"
        " ingest.translate.intake_state.IntakeState.seen_key ingest.translate.lanes.routing_key"
        " ingest.translate.sender.SenderState.seen_key ingest.translate.sender.SenderState.conversation_key"
        " ingest.translate.sender.never_sent ingest.domain.delivery_reports.has_left ingest.adapters.history.delivery_changes.DeliveryChanges.look"
        " ingest.translate.headers.of_fetch ingest.adapters.history.rows.with_file"
        " router.translate.codec.entity_key router.translate.desk.to_routing"
        " sla.translate.analytics_state.contact_key sla.translate.analytics_state.story_key sla.translate.state.plan_key"
        " sla.translate.state.version_key sla.translate.state.interaction_key"
    ),
    _LOG: (
        "chassis.grpc.status.from_status chassis.kafka.changelog.Restored.apply chassis.kafka.changelog.read_changelog"
        " chassis.kafka.changelog.changelog_reader router.translate.feed.write_notice router.translate.feed.write_result"
        " router.translate.moves"
        " ingest.translate.lanes.answer_command ingest.translate.lanes.conversation_record ingest.translate.lanes.customer_message"
        " ingest.translate.lanes.request_record ingest.translate.lanes.routing_command ingest.translate.sender.dead_letter"
        " ingest.translate.sender.finished_record ingest.translate.reports.outbound_report"
        " ingest.domain.stated_reports.bounced sla.translate.analytics_state.restore"
    ),
    _CALLS: (
        "ingest.adapters.edges.mail_worker.answer ingest.adapters.edges.dkim_worker.answer ingest.adapters.edges.worker_side.serve"
        " ingest.adapters.edges.thumbnail_worker.encoded_answer"
        " chassis.grpc.auth.Authorizer.prepare chassis.tokens.keys.key_of_pem chassis.tokens.keys.shared_secret"
        " chassis.tokens.verifier.Verifier.prepare webhooks.delivery.attempt feedback.adapters.page_form.Form.response"
        " ingest.adapters.edges.webhook_call.text_answer ingest.domain.normalise.webhook.kind_of"
        " ingest.domain.normalise.webhook.attached"
        " feedback.adapters.page_cache.SurveyPage.asked_again feedback.adapters.page_template.CutPage.filled"
        " feedback.adapters.page_cache.PageCache.page"
        " feedback.adapters.page_form.Form.missing feedback.adapters.page_form.Form.shown feedback.adapters.handlers.ResponseIntake.submit"
        " ingest.adapters.edges.grpc_submit.Submitter.submit ingest.adapters.edges.smtp_data.Collector.refuse"
        " ingest.adapters.out.http.post_json ingest.domain.normalise.webchat.visitor ingest.domain.retry_classes.smtp"
        " ingest.domain.retry_classes.telegram ingest.domain.retry_classes.webhook ingest.domain.retry_classes.whatsapp"
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
