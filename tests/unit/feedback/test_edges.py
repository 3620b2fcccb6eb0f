"""Input from outside: comments, records, configuration."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapar.config.v1 import config_pb2 as config
from chapar.feedback.v1 import feedback_pb2 as pb
from services.feedback.adapters.configuration import ConfiguredProgrammes, decode
from services.feedback.adapters.handlers import filled
from services.feedback.domain.comments import clean_comment
from services.feedback.translate.records import Untranslatable
from services.feedback.translate.survey import parse_command, read_command
from services.policy.findings import ConfigurationRefused
from services.policy.model.surveys import MAX_COMMENT_CHARS, SurveyKind
from tests.unit.feedback.builders import HOUR, TENANT


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("  خوب بود\r\nممنون  ", "خوب بود\nممنون"),
        ("نمی‌دانم", "نمی‌دانم"),  # the zero-width non-joiner is part of the spelling
        ("abc\u202egnp.exe", "abcgnp.exe"),
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("\ud800x\ufeff", "x"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\u2066hidden\u2069 \u200fx", "hidden x"),
    ],
)
def test_comments_lose_misleading_characters_and_keep_their_spelling(raw: str, stored: str) -> None:
    """Controls, overrides and surrogates are removed; joiners, line breaks and emoji stay."""
    assert clean_comment(raw) == stored


@settings(max_examples=60)
@given(st.text())
def test_cleaning_is_idempotent_and_always_storable(text: str) -> None:
    """And it is never longer than allowed."""
    cleaned = clean_comment(text)
    assert clean_comment(cleaned) == cleaned
    assert len(cleaned) <= MAX_COMMENT_CHARS
    cleaned.encode()


def test_ten_million_characters_are_cut() -> None:
    """The limit counts characters, not bytes: Persian gets as many as English."""
    assert clean_comment("خ" * 10_000_000) == "خ" * MAX_COMMENT_CHARS


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser_of_commands(raw: bytes) -> None:
    """They are a command, or they are refused."""
    try:
        parse_command(read_command(raw))
    except Untranslatable:
        return


def test_a_command_about_another_person_is_refused() -> None:
    """The writer guarantees the key: one person, one partition."""
    command = pb.FeedbackCommand(command_id="c", tenant=TENANT, person_id="p1")
    command.consider.subject.interaction_id = "i"
    command.consider.subject.person_id = "p2"
    with pytest.raises(Untranslatable, match="person_id"):
        parse_command(read_command(command.SerializeToString()))


def a_tenant(**fields: object) -> config.TenantConfiguration:
    survey = config.Survey(name="s", kind=config.SURVEY_KIND_NPS, sampling=0.5)
    for name, value in fields.items():
        setattr(survey, name, value)
    return config.TenantConfiguration(tenant=TENANT, time_zone="Asia/Tehran", default_language="fa", surveys=[survey])


def test_a_configuration_is_read_with_its_defaults() -> None:
    """The expiry is 72 h if none is set."""
    found = ConfiguredProgrammes({TENANT: decode(TENANT, a_tenant().SerializeToString())}.get)
    survey = found.of(TENANT).surveys[0]
    assert (survey.kind, survey.sampling, survey.expires_after_ms) == (SurveyKind.NPS, 0.5, 72 * HOUR)
    assert found.knows(TENANT)
    assert not found.knows("nobody")
    assert found.of("nobody").surveys == ()
    assert "{link}" in found.invitation_text("nobody", "en-GB")


@pytest.mark.parametrize("fields", [{"sampling": 1.5}, {"kind": 0}, {"delay_ms": -1}])
def test_an_invalid_configuration_is_refused(fields: dict[str, object]) -> None:
    """The reader then keeps the running one."""
    with pytest.raises(ConfigurationRefused):
        decode(TENANT, a_tenant(**fields).SerializeToString())


def test_a_zone_that_does_not_exist_is_refused() -> None:
    """Days could not be calculated."""
    tenant = a_tenant()
    tenant.time_zone = "Asia/Atlantis"
    with pytest.raises(ConfigurationRefused, match="`Asia/Atlantis` is not a time zone"):
        decode(TENANT, tenant.SerializeToString())


def test_a_template_fills_its_own_placeholders_and_no_others() -> None:
    """Braces inside a question are not filled again."""
    assert (
        filled("{question} {link} {minutes}", question="Was {link} fine?", link="L") == "Was {link} fine? L {minutes}"
    )
