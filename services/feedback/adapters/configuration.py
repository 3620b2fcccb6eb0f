"""The tenants' surveys and texts, from config.v1. A configuration that makes no sense is refused and the running one stays."""

from collections.abc import Callable
from dataclasses import dataclass, field

from chapar.config.v1 import config_pb2 as config
from services.feedback.domain.survey import Programme, primary
from services.feedback.translate_programme import programme

_TEMPLATE = "survey_invitation"
_INVITATIONS = {
    "fa": "{question}\nبرای پاسخ این پیوند را باز کنید: {link}",
    "en": "{question}\nTo answer, open this link: {link}",
}
_NOTHING = Programme()


@dataclass(frozen=True, slots=True)
class TenantSurveys:
    """What feedback needs of one tenant's configuration."""

    programme: Programme = _NOTHING
    invitations: dict[str, str] = field(default_factory=dict)


def decode(_key: str, raw: bytes) -> TenantSurveys:
    """For `ConfigReader`. Raises ValueError."""
    tenant = config.TenantConfiguration.FromString(raw)
    texts = next((dict(template.texts) for template in tenant.templates if template.name == _TEMPLATE), {})
    return TenantSurveys(programme(tenant), texts)


class ConfiguredProgrammes:
    """Implements `ports.Programmes` over whatever holds the tenants' configuration."""

    def __init__(self, get: Callable[[str], TenantSurveys | None]) -> None:
        self._get = get

    def of(self, tenant: str) -> Programme:
        found = self._get(tenant)
        return found.programme if found is not None else _NOTHING

    def knows(self, tenant: str) -> bool:
        return self._get(tenant) is not None

    def invitation_text(self, tenant: str, language: str) -> str:
        found = self._get(tenant) or TenantSurveys()
        for wanted in (language, primary(language), found.programme.default_language):
            if wanted in found.invitations:
                return found.invitations[wanted]
        return _INVITATIONS.get(primary(language), _INVITATIONS["en"])
