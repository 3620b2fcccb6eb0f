"""Figures and examples on the pages of docs/channels are those of the code."""

import json
import re
from typing import Any

import pytest

from services.ingest.domain.channel_rules import ChannelRules, channel_rules
from services.ingest.domain.decisions import IntakeLimits
from services.ingest.domain.deliveries import SenderLimits
from services.ingest.domain.normalise.placeholders import UNREADABLE
from services.ingest.domain.normalise.telegram import parse_update
from services.ingest.domain.normalise.webchat import MAX_FILES, MAX_TEXT, Hello, parse_frame
from services.ingest.domain.normalise.webhook import parse_call
from services.ingest.domain.sent_files import MOST_FILES, file_rules
from services.ingest.settings import IngestSettings
from services.policy.model.intake import DAY_MS, HOUR_MS
from services.policy.model.webhook_keys import MIN_KEY_BYTES
from tests.architecture.guide import ROOT, blocks

FOLDER = ROOT / "docs/channels"


def _rules(channel: str) -> ChannelRules:
    found = channel_rules(channel)
    assert found is not None
    return found


def _default(setting: str) -> Any:
    return IngestSettings.model_fields[setting].default


INTAKE, SENDER = IntakeLimits(), SenderLimits()
MAIL, TELEGRAM, WHATSAPP, WEBHOOK = (_rules(name) for name in ("email", "telegram", "whatsapp", "webhook"))
FIGURES = [
    ("README", f"{INTAKE.duplicate_ids_most:,} messages of one customer"),
    ("README", f"({_default('sender_rate'):g} in a second, bursts of {_default('sender_burst')})"),
    ("README", f"After {_default('failed_auth_burst')} of them"),
    ("README", f"{WEBHOOK.max_attempts} attempts within a day"),
    ("README", f"pauses for {SENDER.first_halt_ms // 1000} seconds, later for up to {SENDER.last_halt_ms // 60_000} minutes"),
    ("email", f"({_default('smtp_max_bytes') >> 20} MiB), or its text"),
    ("email", f"{MOST_FILES} files of together {file_rules('email').together >> 20} MB"),
    ("email", f"{MAIL.per_second:g} mails in a second"),
    ("email", f"first after {MAIL.first_retry_ms // 1000} seconds"),
    ("telegram", f"more than {TELEGRAM.part_chars} characters"),
    ("telegram", f"{TELEGRAM.per_second:g} messages in a second"),
    ("telegram", f"{TELEGRAM.group_per_second * 60:g} in a minute for each group"),
    ("telegram", f"{file_rules('telegram').largest >> 20} MB out"),
    ("whatsapp", f"more than {WHATSAPP.part_chars} characters"),
    ("whatsapp", f"Free texts are allowed for {WHATSAPP.reply_window_ms // HOUR_MS} hours"),
    ("whatsapp", f"{WHATSAPP.per_second:g} messages in a second"),
    ("whatsapp", f"1 in {1 / WHATSAPP.chat_per_second:g} seconds for each customer"),
    ("whatsapp", f"with bursts of {WHATSAPP.chat_burst:g}"),
    ("webchat", f"at most {MAX_TEXT:,} characters, a frame {_default('webchat_max_frame_bytes') >> 10} KiB, a message {MAX_FILES} files"),
    ("webchat", f"valid for {_default('webchat_token_days')} days"),
    ("webhook", f"at least {MIN_KEY_BYTES} random bytes"),
    ("webhook", f"{WEBHOOK.per_second:g} calls in a second"),
    ("webhook", f"{_default('max_body_bytes') >> 20} MiB a body"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "figure"), FIGURES)
def test_a_page_has_the_figure_of_the_code(page: str, figure: str) -> None:
    """A limit that is changed is changed on its page."""
    text = " ".join((FOLDER / f"{page}.md").read_text(encoding="utf-8").split())
    assert figure in text


def test_the_times_that_the_pages_write_as_words_are_those_of_the_code() -> None:
    """A day, two days, seven days."""
    assert (WEBHOOK.max_age_ms, MAIL.max_age_ms, INTAKE.duplicate_window_ms) == (DAY_MS, 2 * DAY_MS, 7 * DAY_MS)
    assert {each.max_age_ms for each in (TELEGRAM, WHATSAPP)} == {DAY_MS}
    assert MAIL.max_attempts == 12
    assert {each.max_attempts for each in (TELEGRAM, WHATSAPP)} == {WEBHOOK.max_attempts}


def test_the_example_of_a_webhook_is_accepted() -> None:
    """The first block of JSON is a whole message, with each field that a call may have."""
    shown = next(block for block in blocks(FOLDER / "webhook.md") if block.language == "json")
    parsed = parse_call(shown.text.encode())
    assert parsed.refused == ()
    (message,) = parsed.messages
    assert "" not in (message.text, message.language, message.display_name)
    assert (message.labels, len(message.attachments)) == ({"tier": "gold"}, 1)


def test_the_example_of_a_login_is_accepted() -> None:
    """The first frame of a customer who is logged in."""
    (shown,) = [block for block in blocks(FOLDER / "webchat.md") if block.language == "json"]
    frame = parse_frame(shown.text.encode())
    assert isinstance(frame, Hello)
    assert "" not in (frame.identifier, frame.identifier_hash)


def test_telegram_is_asked_for_updates_that_are_read() -> None:
    """Each name in `allowed_updates` is known: without its content, such an update is unreadable and not of an unknown type."""
    page = (FOLDER / "telegram.md").read_text(encoding="utf-8")
    (names,) = re.findall(r"allowed_updates=(\[[^\]]+\])", page)
    for name in json.loads(names):
        (message,) = parse_update(json.dumps({"update_id": 1, name: None}).encode()).messages
        assert message.content == UNREADABLE, name
