"""A tenant's closing words, from its configuration."""

from chapar.config.v1 import config_pb2 as config
from services.policy.findings import Findings
from services.policy.model.closing_words import (
    BUILT_IN,
    EVERYWHERE,
    MOST_WORD_CHARS,
    MOST_WORDS,
    WITHIN_MS,
    ClosingWords,
    closing_words,
)


def read_closing_words(tenant: config.TenantConfiguration, findings: Findings) -> ClosingWords:
    """Return a tenant's closing words; what cannot be used is reported."""
    rule = tenant.closing_words
    if rule.within_ms < 0:
        findings.find("OUT_OF_RANGE", "`within` can't be negative", "closing_words", "within_ms")
    for language, listed in rule.words.items():
        here = ("closing_words", "words", language)
        if len(listed.any) > MOST_WORDS:
            findings.find("TOO_MANY", f"at most {MOST_WORDS} closing words for each language", *here)
        if any(len(word) > MOST_WORD_CHARS for word in listed.any):
            findings.find("TOO_LONG", f"a closing word has at most {MOST_WORD_CHARS} characters", *here)
    if rule.work:
        return ClosingWords()
    if not rule.within_ms and not rule.words:
        return EVERYWHERE
    lists = {language: tuple(listed.any) for language, listed in rule.words.items()}
    return closing_words(max(0, rule.within_ms) or WITHIN_MS, {**BUILT_IN, **lists})
