"""Every function that takes text or bytes from outside, with a way to call it. `tests/unit/hostile` and the fuzzers use them all.

An entry's `feed` accepts any text or any bytes. A refusal is a valid answer; any other exception is a fault.
`on_loop`: the function runs on a service's event loop, so the longest input may block the loop only for a moment.
`inputs`: the kind of hostile input: texts, the same texts as bytes, JSON documents, or mails. `most`: the largest input, in bytes.
"""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from google.protobuf.message import DecodeError

from chapar.ingest.v1 import ingest_pb2
from services.chassis import (
    cursors,
    destinations,
    expression_cost,
    expressions,
    logs,
    pattern_cost,
    text,
    tokens,
    tracing,
)
from services.chassis.errors import ChaparError
from services.chassis.expression_tokens import Unestimable, text_of
from services.chassis.expression_tokens import tokens as tokens_of
from services.chassis.finalised import format_of
from services.chassis.grpc.auth import Authorizer
from services.chassis.grpc.field_limits import FieldLimits
from services.chassis.grpc.peers import typed_names
from services.chassis.grpc.requests import RequestReader
from services.chassis.http import TrustedProxies, networks_of, peer_key
from services.chassis.http.proxies import address_in
from services.chassis.ids import derive
from services.chassis.kafka.changelog import Position
from services.chassis.kafka.claims import Claim
from services.chassis.kafka.transactions.coordinator_log import decode_logged
from services.chassis.kafka.transactions.wire import Malformed
from services.chassis.kafka.witness import Witness
from services.chassis.keys import split_key
from services.chassis.tokens.keys import keys_of_set
from services.feedback.adapters import handlers, page_form, ticket_codec
from services.feedback.adapters.links import SignedLinks
from services.feedback.domain import categories, comments
from services.feedback.translate import kept
from services.ingest.adapters.edges import grpc_checks, grpc_submit, webchat_origin
from services.ingest.adapters.edges.mail_authentication import organisations
from services.ingest.adapters.edges.smtp_data import Collector
from services.ingest.adapters.history import cursor, story
from services.ingest.adapters.history import text as folding
from services.ingest.domain import channel_rules, reply_token, survey_reply
from services.ingest.domain.messages import TextPart, TextPartKind, new_text
from services.ingest.domain.normalise import (
    json_body,
    language,
    placeholders,
    proof,
    telegram,
    webchat,
    webhook,
    whatsapp,
)
from services.ingest.domain.normalise import text as names
from services.ingest.domain.normalise.mail import (
    charsets,
    dates,
    headers,
    html,
    mail,
    parameters,
    readable,
    recipients,
    signatures,
    trusted_results,
)
from services.ingest.ports import Account
from services.ingest.translate.intake_state import IntakeState
from services.ingest.translate.sender import SenderState
from services.policy.model import webhook_keys
from services.policy.model.categories import category_rule, text_key
from services.policy.model.channels import AccountKey, ValueKind
from services.policy.model.closing_words import EVERYWHERE, closing_words
from services.policy.model.rules import RuleInput
from services.policy.model.surveys import SurveyKind
from services.policy.reading.rule_conditions import CelConditions
from services.router.adapters import paging
from services.router.domain.entries import KINDS
from services.router.translate import codec, desk
from services.sla.translate import analytics_state, state
from services.sla.translate import views as sla_views
from services.webhooks import delivery
from tests.hostile import file_answers, wishes
from tests.hostile.entry import Entry, all_of, as_text, named, refusing, state_feed
from tests.hostile.machine_mails import mail_parts, words_of_machines
from tests.hostile.mail_addresses import addresses

SECRET: Final = "s" * 32
_ACCOUNT: Final = Account(tenant="t", channel="grpc", account="default", default_language="fa", settings={}, secrets={})
_MEGABYTE: Final = 1 << 20
_PARTS: Final = tuple(TextPart(TextPartKind(1 + at % 2), 2_000) for at in range(400))


@functools.lru_cache(maxsize=1)
def _request(given: str) -> ingest_pb2.SubmitRequest:
    # Protobuf does not accept lone surrogates.
    plain = given.encode("utf-8", "replace").decode()
    return ingest_pb2.SubmitRequest(
        idempotency_key=plain[:60],
        native_id=plain[:60],
        display_name=plain,
        text=plain,
        language="fa",
        labels={plain[:99]: plain[:99]},
    )


def _submit(given: str) -> None:
    grpc_submit.submitted(_ACCOUNT, _request(given))


def _proofs(given: str) -> None:
    raw = given.encode("utf-8", "surrogatepass")
    proof.shared_token(given, SECRET)
    proof.hub_signature(given, raw, SECRET)
    proof.hub_signature(f"sha256={given}", raw, SECRET)
    proof.standard_webhook(given, given, given, raw, (SECRET, f"whsec_{SECRET}"), 1.0)
    proof.standard_webhook("id", "1", f"v1,{given} " + "v1,QQ== " * 50, raw, (SECRET,), 1.0)
    proof.identifier_hash(SECRET, given, given)
    proof.keyed_hash(SECRET, given, given)
    proof.same(given, SECRET)
    proof.hub_signature_form(f"sha256={given}")
    proof.standard_webhook_form(given, "1", f"v1,{given}", 1.0)


_PROXIES: Final = TrustedProxies(networks_of("10.0.0.0/8"))


def _mail_data(raw: bytes) -> None:
    """Feed a mail as it arrives: in small pieces, and in large ones."""
    for size in (1_000, 64 << 10):
        collector = Collector(8 * _MEGABYTE, _MEGABYTE)
        for start in range(0, len(raw), size):
            if collector.feed(raw[start : start + size]) is not None:
                break
        collector.mail()


def _mails(raw: bytes) -> None:
    mail.parse_mail(raw, "a@b.example", "s@d.example", lambda _: None)
    mail.unread_mail(raw[:_MEGABYTE], as_text(raw[:2_000]), "s@d.example")


@functools.cache
def _organisations() -> signatures.OrganisationOf:
    return organisations()


def _authentication(raw: bytes) -> None:
    plain = signatures.plain_block(raw)
    given = plain if plain is not None else headers.split(raw)[0]
    author = signatures.author_of(given)
    signatures.candidates(given, author, _organisations())
    signatures.candidates(given, "a@b.example", _organisations())
    signatures.every_signature_covers(given, "reply-to")
    signatures.aligned(signatures.domain_of(author), "b.example", _organisations())
    for hops in (1, 1_000):
        trusted_results.trusted_result(given, "mx.example", hops, "b.example", _organisations())


def _format(raw: bytes) -> None:
    format_of("router.state.v1", raw)


def _request_bytes(raw: bytes) -> None:
    RequestReader(ingest_pb2.SubmitRequest.FromString, FieldLimits()).read(raw)


def _charsets(raw: bytes) -> None:
    decoder = charsets.Charsets("fa")
    parameters.decoded_parameter(b"x; name=" + raw, "name")
    parameters.decoded_parameter(raw, "filename")
    for name in ("", "utf-8", "gbk", "iso-2022-jp", as_text(raw[:100])):
        decoder.text(raw, name)
        charsets.labelled(raw, name)
    charsets.codec_of(as_text(raw))


def _mail_names(given: str) -> None:
    headers.decode_words(given.encode("utf-8", "surrogatepass"))
    headers.sender(given.encode("utf-8", "surrogatepass"), "a@b.example")
    headers.canonical(given), headers.envelope_address(given)
    headers.message_ids(given[: headers.MAX_HEADER_BYTES])
    recipients.addresses(headers.Headers((("to", given.encode("utf-8", "surrogatepass")),)), "to")


def _form(given: str) -> None:
    all_of(page_form.read_score, page_form.read_view)(given)
    refusing(page_form.read_form, ValueError)(given.encode("ascii", "replace"))


def _conditions(given: str) -> None:
    about = RuleInput(channel=given[:300], account=given[:300], language=given, text=given, text_length=len(given),
                      person={given: given}, labels={given: given}, public=True)  # fmt: skip
    for when in _CONDITIONS.refused or _WHENS:
        _CONDITIONS(when, about)


_WHENS: Final = (
    'text.contains("price") || text.matches("(?i)(refund|money back)+$")',
    "labels.exists(k, labels[k] == text || k.startsWith(channel))",
)
_CONDITIONS: Final = CelConditions(_WHENS)
_INTAKE: Final = IntakeState()
_SENDER: Final = SenderState()
_INGEST_STATE: Final = (
    *(_INTAKE.customer, _INTAKE.chunk, _INTAKE.block, _INTAKE.seen_owner),
    *(_SENDER.conversation, _SENDER.chunk, _SENDER.seen_owner),
)
_VERIFIER: Final = tokens.Verifier.from_secret(SECRET.encode())
_AUTHORIZER: Final = Authorizer(_VERIFIER)
_SUBMIT: Final = "/chapar.ingest.v1.IngestService/Submit"
_LINKS: Final = SignedLinks(SECRET.encode(), "https://a.example", lambda: 0)
_DOMAIN: Final = "services.ingest.domain.normalise."
_MAIL: Final = _DOMAIN + "mail."


ENTRIES: Final = (
    # names and texts
    Entry(named("services.chassis.text", "normalised", "few_marks", "is_mark"),
          all_of(lambda given: text.normalised("NFKC", given, 4_000), lambda given: text.few_marks(given, 4_000),
                   lambda given: text.normalised("NFD", given, 20_000), lambda given: text.is_mark(given[:1] or "a"))),
    Entry(named(_DOMAIN + "text", "clean_name", "clean_line", "clean_file_name"),
          all_of(names.clean_name, lambda given: names.clean_line(given, 2_000), names.clean_file_name)),
    Entry(named(_DOMAIN + "text", "forbidden"), all_of(lambda given: names.forbidden(given, "text"))),
    Entry(named(_DOMAIN + "language", "detect", "language_code"), all_of(language.detect, language.language_code)),
    Entry(named("services.ingest.adapters.history.text", "fold"), folding.fold, on_loop=False),
    Entry(named("services.ingest.adapters.history.text", "words", "pattern"), all_of(folding.words, lambda given: folding.pattern(given[:1_000]))),
    Entry(named("services.ingest.adapters.history.story", "clean", "identifier", "word"),
          all_of(story.clean, refusing(story.identifier, story.Unreadable, UnicodeEncodeError))),
    Entry(named("services.ingest.domain.survey_reply", "beside_quote", "parse_score"),
          all_of(survey_reply.beside_quote, lambda given: survey_reply.parse_score(survey_reply.beside_quote(given), "csat"),
                   lambda given: survey_reply.parse_score(given[:40], "nps"))),
    Entry(named("services.feedback.domain.comments", "clean_comment"), all_of(comments.clean_comment)),
    Entry(named("services.feedback.domain.categories", "classify"), all_of(lambda given: categories.classify((given, given)),
          lambda given: categories.classify((given,), (category_rule("r", ("price.", "قیمت"), ("no",)),)))),
    Entry(named("services.policy.model.categories", "text_key", "category_rule", "words_pattern"),
          all_of(text_key, refusing(lambda given: category_rule("r", (given,)), ValueError))),
    Entry(named("services.policy.model.closing_words", "ClosingWords.only", "closing_words"),
          all_of(EVERYWHERE.only, lambda given: closing_words(1_000, {"en": (given,)}).only(given[:120]))),
    Entry(named("services.feedback.adapters.page_form", "read_score", "read_view", "read_form"), all_of(_form)),
    Entry(named("services.feedback.adapters.handlers", "check"),
          all_of(refusing(lambda given: handlers.check(SurveyKind.TEXT, 0, given, "score", "text"), ChaparError))),
    Entry(named("services.router.translate.desk", "text_refusal"),
          all_of(desk.text_refusal)),
    *wishes.ENTRIES,
    Entry((*named("services.ingest.domain.channel_rules", "parts_of"), *named("services.ingest.domain.graphemes", "cut_before", "is_boundary")),
          all_of(lambda given: channel_rules.parts_of(given, 4_096)), most=200_000),
    Entry(named("services.chassis.logs", "redact_text", "redact"), all_of(logs.redact_text)),
    # proofs, tokens, keys, metadata, cursors
    Entry(named(_DOMAIN + "proof", "same", "shared_token", "hub_signature", "standard_webhook", "hub_signature_form", "standard_webhook_form",
                 "keyed_hash", "identifier_hash"),
          all_of(_proofs), most=_MEGABYTE // 4),
    Entry(named(_DOMAIN + "webchat", "visitor_of"), all_of(lambda given: webchat.visitor_of(given, SECRET, "t/a", 1, 1.0))),
    *file_answers.ENTRIES,
    Entry(named("services.ingest.domain.reply_token", "token_of"), all_of(lambda given: reply_token.token_of(given, SECRET),
                   lambda given: reply_token.token_of(f"<chapar.{given}.m.d@x>", SECRET)), most=_MEGABYTE // 4),
    Entry(named("services.feedback.adapters.links", "SignedLinks.read", "SignedLinks.refusal"), all_of(_LINKS.read, _LINKS.refusal)),
    Entry(named("services.chassis.tokens.verifier", "Verifier.verify", "verify"),
          all_of(refusing(_VERIFIER.verify, ChaparError), refusing(lambda given: _VERIFIER.verify(f"{given}.{given}.{given}"), ChaparError)),
          most=_MEGABYTE // 4),
    Entry((*named("services.chassis.grpc.auth", "Authorizer.authorize"), *named("services.chassis.ids", "derive")),
          all_of(refusing(lambda given: _AUTHORIZER.authorize(_SUBMIT, f"Bearer {given}", given), ChaparError),
               refusing(lambda given: _AUTHORIZER.authorize(_SUBMIT, given), ChaparError),
               lambda given: derive("rpc", given)), most=_MEGABYTE // 4),
    Entry(named("services.chassis.tracing", "extract", "extract_metadata"),
          all_of(lambda given: tracing.extract([("traceparent", given.encode("utf-8", "replace")), ("tracestate", given.encode("utf-8", "replace"))]),
                   lambda given: tracing.extract_metadata([("traceparent", given), ("tracestate", given), ("x-bin", b"\xff")])),
          most=_MEGABYTE // 16),
    Entry(named("services.ingest.adapters.edges.grpc_checks", "required", "optional"),
          all_of(lambda given: grpc_checks.required("f", given), lambda given: grpc_checks.optional("f", given))),
    Entry(named(_DOMAIN + "webhook", "wrong_fields"), all_of(refusing(_submit, ChaparError)), most=_MEGABYTE),
    Entry(named("services.ingest.adapters.edges.webchat_origin", "origin_allowed"),
          all_of(lambda given: webchat_origin.origin_allowed({"origin": given, "host": given}, ("https://a.example",))),
          most=_MEGABYTE // 4),
    Entry(named("services.policy.model.channels", "AccountKey.accepts"),
          all_of(*(AccountKey(name="x", meaning="", kind=kind).accepts for kind in ValueKind)), most=_MEGABYTE // 16),
    Entry(named("services.policy.model.webhook_keys", "key_of", "problem_of_secret"),
          all_of(webhook_keys.key_of, webhook_keys.problem_of_secret), most=_MEGABYTE // 4),
    Entry(named("services.webhooks.delivery", "signature"),
          all_of(lambda given: delivery.signature(b"k", "msg_1", "1", given.encode("utf-8", "replace"))), most=_MEGABYTE // 4),
    # addresses of callers and of tenants' destinations
    Entry(named("services.chassis.http.proxies", "TrustedProxies.client", "address_in", "peer_key"),
          all_of(address_in, peer_key, lambda given: _PROXIES.client("10.0.0.1", [given, given])), most=_MEGABYTE // 16),
    Entry(named("services.chassis.destinations", "problem_of_url", "problem_of_host"),
          all_of(lambda given: destinations.problem_of_url(given, destinations.PUBLIC),
                   lambda given: destinations.problem_of_url(f"https://{given}/", destinations.DEVELOPMENT),
                   lambda given: destinations.problem_of_host(given, destinations.PUBLIC)), most=_MEGABYTE // 16),
    Entry(named("services.ingest.adapters.edges.smtp_data", "Collector.feed"), _mail_data, "bytes"),
    Entry((*named("services.chassis.cursors", "decode_cursor"), *named("services.ingest.adapters.history.cursor", "decode"),
           *named("services.router.adapters.paging", "agent_of", "position_of"),
           *named("services.sla.translate.views", "place_of", "ranked_place_of", "group_of")),
          all_of(*(refusing(each, ChaparError) for each in (
              lambda given: cursors.decode_cursor("l", given, list[object]), lambda given: cursor.decode("messages", given),
              paging.agent_of, paging.position_of, sla_views.place_of, sla_views.ranked_place_of, sla_views.group_of)))),
    # conditions
    Entry((*named("services.chassis.expressions", "compile_expression", "steps_of", "names_asked", "Together.add"),
           *named("services.chassis.expression_cost", "estimate"), *named("services.chassis.expression_tokens", "tokens", "text_of")),
          all_of(refusing(expressions.compile_expression, expressions.ExpressionRefused),
                   refusing(lambda given: expressions.names_asked(given, "open"), expressions.ExpressionRefused),
                   refusing(lambda given: expression_cost.estimate(given[:300]), Unestimable, RecursionError),
                   refusing(lambda given: tokens_of(given[:4_000]), Unestimable),
                   refusing(lambda given: text_of(f"'{given[:4_000]}'"), Unestimable))),
    Entry(named("services.chassis.pattern_cost", "pattern_cost"),
          all_of(refusing(lambda given: pattern_cost.pattern_cost(given, 4_000), Unestimable))),
    Entry(named("services.chassis.expressions", "Expressions.holds"), all_of(_conditions)),
    # JSON of channels; large bodies are read in a thread
    Entry((*named(_DOMAIN + "telegram", "parse_update"), *named(_DOMAIN + "telegram_content", "content_of"),
           *named(_DOMAIN + "salvage", "first_text")),
          telegram.parse_update, "documents", on_loop=False, most=3 * _MEGABYTE),
    Entry(named(_DOMAIN + "placeholders", "content_name", "placeholder_text"),
          lambda given: placeholders.placeholder_text(placeholders.content_name(given), given)),
    Entry((*named(_DOMAIN + "whatsapp", "parse_notification"), *named(_DOMAIN + "whatsapp_content", "content_of")),
          whatsapp.parse_notification, "documents", on_loop=False, most=3 * _MEGABYTE),
    Entry((*named(_DOMAIN + "webhook", "parse_call"), *named(_DOMAIN + "json_body", "parse_json", "shaped", "may_be_unstorable", "unstorable")),
          webhook.parse_call, "documents", on_loop=False, most=3 * _MEGABYTE),
    Entry(named(_DOMAIN + "webchat", "parse_frame"), webchat.parse_frame, "documents", most=_MEGABYTE // 16),
    Entry(named(_DOMAIN + "webchat", "id_in"), webchat.id_in, "documents", most=_MEGABYTE // 16),
    Entry(named(_MAIL + "dates", "sent_at_ms"), dates.sent_at_ms),
    Entry(named(_DOMAIN + "json_body", "parse_json"), json_body.parse_json, "documents", on_loop=False, most=3 * _MEGABYTE),
    Entry(named("services.ingest.domain.messages", "new_text"), lambda given: new_text(given, _PARTS)),
    # mail, which is read in separate processes
    Entry(named(_MAIL + "mail", "read_mail", "parse_mail", "unread_mail"),
          _mails,
          "mails", on_loop=False, most=_MEGABYTE),
    Entry((*named(_MAIL + "signatures", "domain_of", "plain_block", "candidates", "every_signature_covers", "aligned"),
           *named(_MAIL + "trusted_results", "trusted_result")), _authentication, "mails", most=_MEGABYTE),
    Entry((*named(_MAIL + "headers", "split", "Headers.raw", "Headers.text", "Headers.word", "Headers.has"), *named(_MAIL + "body", "read"),
           *named(_MAIL + "mime", "leaves", "parameter", "Part.parameter", "Part.word"), *named(_MAIL + "automatic", "classify")),
          mail_parts, "mails", on_loop=False, most=_MEGABYTE),
    Entry(named(_MAIL + "headers", "decode_words", "sender", "canonical", "envelope_address", "message_ids"), all_of(_mail_names),
          on_loop=False, most=_MEGABYTE),
    Entry((*named("services.policy.model.mail_addresses", "is_address", "first_wrong"),
           *named("services.ingest.domain.recipients", "recipients", "without_tag"),
           *named("services.ingest.domain.joining", "topic_of", "digest", "joined", "with_thread")), all_of(addresses), most=_MEGABYTE),
    Entry((*named(_MAIL + "automatic_words", "has_away_prefix", "speaks_of_absence", "is_bounce_subject", "is_complaint_subject",
                  "reports_a_failure", "quotes_a_server", "plain"),
           *named(_MAIL + "absence_notes", "is_absence_note")), all_of(words_of_machines), on_loop=False, most=_MEGABYTE),
    Entry(named(_MAIL + "recipients", "addresses"), all_of(_mail_names), on_loop=False, most=_MEGABYTE),
    Entry((*named(_MAIL + "charsets", "labelled", "Charsets.text", "codec_of"), *named(_MAIL + "plausible", "looks_foreign", "code_page"),
           *named(_MAIL + "parameters", "decoded_parameter")), _charsets, "bytes", on_loop=False, most=_MEGABYTE),
    Entry((*named(_MAIL + "html", "to_text"), *named(_MAIL + "html_tags", "tag_at", "Tag.has", "Tag.get"),
           *named(_MAIL + "html_text", "Page.say", "Page.end_link")), all_of(html.to_text), on_loop=False, most=4 * _MEGABYTE),
    Entry((*named(_MAIL + "readable", "readable"), *named(_MAIL + "quotes", "introduction"), *named(_MAIL + "text_lines", "lines_of")),
          all_of(readable.readable, lambda given: readable.readable(given, given)), on_loop=False, most=_MEGABYTE),
    # bytes of gRPC requests, before they are decoded
    Entry(named("services.chassis.tokens.keys", "keys_of_set"),
          refusing(lambda raw: keys_of_set(raw, "https://a.example"), ChaparError), "documents"),
    Entry((*named("services.chassis.grpc.requests", "RequestReader.read"), *named("services.chassis.grpc.field_limits", "FieldLimits.check")),
          refusing(_request_bytes, ChaparError), "bytes"),
    Entry(named("services.chassis.grpc.peers", "typed_names"), lambda raw: typed_names({"peer_dns": [raw], "x509_common_name": [raw]}), "bytes",
          most=_MEGABYTE // 16),
    Entry(named("services.chassis.keys", "split_key"), refusing(split_key, ValueError), "bytes", most=_MEGABYTE // 16),
    # the state that lanes keep, and what their groups commit
    Entry(named("services.chassis.kafka.witness", "Witness.decode"), all_of(Witness.decode)),
    # what Kafka's coordinators wrote about transactions
    Entry(named("services.chassis.kafka.transactions.coordinator_log", "decode_logged"),
          refusing(lambda raw: decode_logged(b"\0\0\0\2id", raw), Malformed), "bytes"),
    Entry(named("services.chassis.finalised", "format_of"), refusing(_format, ValueError, DecodeError), "bytes"),
    Entry((*named("services.chassis.kafka.changelog", "Position.decode"), *named("services.chassis.kafka.claims", "Claim.decode")),
          all_of(refusing(Position.decode, ValueError), refusing(Claim.decode, ValueError)), "bytes"),
    Entry((*named("services.chassis.kafka.changelog_codec", "ChangelogCodec.decode"),
           *named("services.router.translate.codec", "decode", "parse_key")),
          all_of(refusing(lambda value: codec.decode("i", value), ValueError), refusing(codec.parse_key, ValueError),
               state_feed(lambda kind, value: codec.decode(kind.decode(), b"\x03" + value), *(kind.encode() for kind in KINDS))), "bytes"),
    Entry(named("services.sla.translate.state", "decode", "tally_key_of"),
          state_feed(lambda key, value: state.decode(key + value[:64], value), b"w/", b"p/", b"t/", b"v/", b""), "bytes"),
    Entry(named("services.sla.translate.analytics_state", "decode", "flow_key_of"),
          state_feed(lambda key, value: analytics_state.decode(key + value[:64], value), b"o/", b"c/", b"f/", b"q/", b"m/"), "bytes"),
    Entry((*named("services.ingest.translate.intake_state", "IntakeState.customer", "IntakeState.chunk", "IntakeState.block",
                  "IntakeState.seen_owner"),
           *named("services.ingest.translate.sender", "SenderState.conversation", "SenderState.chunk", "SenderState.seen_owner")),
          all_of(*(refusing(each, ValueError, TypeError, RecursionError) for each in _INGEST_STATE)), "bytes"),
    Entry(named("services.feedback.adapters.ticket_codec", "unpack"),
          lambda raw: (ticket_codec.unpack(raw), ticket_codec.unpack(b"\x01\x01\0\0\0\0\0" + raw)), "bytes"),
    Entry(named("services.feedback.translate.kept", "decode"), state_feed(kept.decode, b"i/", b"p/", b""), "bytes"),
)  # fmt: skip

BY_NAME: Final[Mapping[str, Entry]] = MappingProxyType({entry.functions[0]: entry for entry in ENTRIES})
REGISTERED: Final = frozenset(function for entry in ENTRIES for function in entry.functions)
