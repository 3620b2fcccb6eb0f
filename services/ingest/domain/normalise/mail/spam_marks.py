"""The marks of filters on the way: each filter writes its verdict into a header of its own.

Only verdicts count. Scores do not: their limit is the filter's.
"""

import re
from collections.abc import Iterator
from typing import Final

from services.ingest.domain.normalise.mail.headers import Headers

_YES: Final = re.compile(r"(?:yes|true|1)\b", re.IGNORECASE)
_SPAM: Final = re.compile(r"(?:spam|phish(?:ing)?|malware|virus)\b", re.IGNORECASE)
_VERDICTS: Final = {
    **dict.fromkeys(
        (
            *("x-spam-flag", "x-spam", "x-spam-status", "x-rspamd-spam", "x-ovh-spam", "x-barracuda-spam-flag"),
            *("x-barracuda-spam-status", "x-gm-spam", "x-gm-phishy", "x-nai-spam-flag", "x-assp-spam"),
            "x-suspected-spam",
            "x-tm-as-result",
        ),
        _YES,
    ),
    **dict.fromkeys(
        (
            *("x-klms-antispam-status", "x-dspam-result", "x-crm114-status", "x-vr-spamstate", "x-vr-status"),
            *("x-spampanel-class", "x-spamexperts-class", "x-spamtest-status", "x-vade-verdict", "x-cloudmark-verdict"),
        ),
        _SPAM,
    ),
    "x-bogosity": re.compile(r"(?:spam|yes)\b", re.IGNORECASE),
    "x-spamd-result": re.compile(r"[^:]{0,40}: true\b", re.IGNORECASE),
    "x-rspamd-action": re.compile(r"(?:reject|add header|rewrite subject)\b", re.IGNORECASE),
    "x-proofpoint-spam-details": re.compile(
        r"(?:.{0,200}\s)?rule=(?:\S{0,40}_)?(?:spam|phish|malware)\b", re.IGNORECASE
    ),
    "x-ms-exchange-organization-scl": re.compile(r"[5-9]$"),
    "x-forefront-antispam-report": re.compile(
        r"(?:.{0,2000}[\s;])?(?:SFV:SP[MB]|CAT:(?:H?SPM|H?PHSH|HPHISH|MALW))\b", re.IGNORECASE
    ),
    "x-yandex-spam": re.compile(r"4$"),
}
"""Header by header, how a value begins that means spam."""
_MAIL_SCANNER: Final = "-mailscanner-spamcheck"
_NAMES: Final = {"x-ms-exchange-organization-scl": "spam_confidence", "x-forefront-antispam-report": "forefront"}
_TAG: Final = re.compile(r"\s*(?:\*{3,}\s?SPAM\s?\*{3,}|\[SPAM\]|\{Spam\?\})")


def spam_marks(headers: Headers, *, answers: bool) -> Iterator[str]:
    """Yield a word for each mark. `answers`: the mail answers another one, whose subject it may only repeat."""
    for name in dict.fromkeys(name for name, _ in headers.items):
        verdict = _VERDICTS.get(name)
        value = headers.text(name).strip() if verdict is not None or name.endswith(_MAIL_SCANNER) else ""
        if verdict is not None and verdict.match(value):
            yield _NAMES.get(name, name.replace("-", "_"))
        elif name.endswith(_MAIL_SCANNER) and _SPAM.match(value):
            yield "mail_scanner"
    if not answers and _TAG.match(headers.text("subject")):
        yield "spam_subject"
