"""The tenants' surveys and texts, from config.v1. An invalid configuration is refused and the running one stays in
force."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chapar.config.v1 import config_pb2 as config
from services.policy.findings import Findings
from services.policy.model.counting import Counting
from services.policy.model.surveys import Programme, primary
from services.policy.model.templates import SURVEY_INVITATION, SURVEY_REMINDER
from services.policy.model.webhooks import Endpoint
from services.policy.reading.counting import read_counting
from services.policy.reading.surveys import read_surveys
from services.policy.reading.webhooks import read_webhooks

_GENERIC: Final[Mapping[str, Mapping[str, str]]] = {
    SURVEY_INVITATION: {
        "fa": "{question}\nبرای پاسخ این پیوند را باز کنید: {link}",
        "en": "{question}\nTo answer, open this link: {link}",
    },
    SURVEY_REMINDER: {
        "fa": "یادآوری: {question}\nتا {until} می‌توانید پاسخ دهید: {link}",
        "en": "A reminder: {question}\nYou can answer until {until}: {link}",
    },
}
_NOTHING = Programme()
_COUNTING = Counting()


@dataclass(frozen=True, slots=True)
class TenantSurveys:
    """The parts of a tenant's configuration that feedback needs: surveys, and texts by language."""

    programme: Programme = _NOTHING
    invitations: dict[str, str] = field(default_factory=dict)
    reminders: dict[str, str] = field(default_factory=dict)
    counting: Counting = _COUNTING
    webhooks: Mapping[str, Endpoint] = field(default_factory=dict)
    version: int = 0


def decode(_key: str, raw: bytes) -> TenantSurveys:
    """Decode a configuration for `ConfigReader`. Raises ConfigurationRefused, and protobuf's DecodeError."""
    tenant = config.TenantConfiguration.FromString(raw)
    texts = {template.name: dict(template.texts) for template in reversed(tenant.templates)}
    findings = Findings()
    surveys = TenantSurveys(
        read_surveys(tenant, findings),
        texts.get(SURVEY_INVITATION, {}),
        texts.get(SURVEY_REMINDER, {}),
        read_counting(tenant, findings),
        read_webhooks(tenant, findings),
        tenant.version,
    )
    findings.refuse_errors()
    return surveys


class ConfiguredProgrammes:
    """Implements `ports.Programmes` with the tenants' current configurations."""

    def __init__(self, get: Callable[[str], TenantSurveys | None]) -> None:
        self._get = get

    def of(self, tenant: str) -> Programme:
        found = self._get(tenant)
        return found.programme if found is not None else _NOTHING

    def counting(self, tenant: str) -> Counting:
        found = self._get(tenant)
        return found.counting if found is not None else _COUNTING

    def webhook(self, tenant: str, name: str) -> Endpoint | None:
        """Return a tenant's webhook; None if there is none of this name."""
        found = self._get(tenant)
        return found.webhooks.get(name) if found is not None else None

    def webhooks(self, tenant: str) -> Mapping[str, Endpoint]:
        """Return all webhooks of a tenant."""
        found = self._get(tenant)
        return found.webhooks if found is not None else {}

    def knows(self, tenant: str) -> bool:
        return self._get(tenant) is not None

    def invitation_text(self, tenant: str, language: str, *, reminder: bool = False) -> str:
        found = self._get(tenant) or TenantSurveys()
        texts = found.reminders if reminder else found.invitations
        for wanted in (language, primary(language), found.programme.default_language):
            if wanted in texts:
                return texts[wanted]
        generic = _GENERIC[SURVEY_REMINDER if reminder else SURVEY_INVITATION]
        return generic.get(primary(language), generic["en"])
