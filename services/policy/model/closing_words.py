"""Words that end a conversation: a thank-you, a farewell, a heart. A message of nothing else asks for no work.

The whole message must consist of such words, in any order: "ok, thank you!" is one, "thank you, but when does it come"
is not, nor is any message with a question mark. Words are compared by their text key (`categories`), without spaces, and
with repeated letters as one, so that «مرسي», «مرسی» and «مرسییی» are equal. Some words, such as "ok", may accompany
closing words but close nothing alone: they may be the answer to a question.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from services.policy.model.categories import text_key

WITHIN_MS: Final = 24 * 3_600_000
MOST_CHARS: Final = 120
"""A longer message is not looked at: it says more."""
MOST_WORD_CHARS: Final = 60
MOST_WORDS: Final = 200
EMOJI: Final = "emoji"
"""The name under which signs are listed, beside the languages."""
_QUESTION: Final = frozenset("?؟？⁇⁈❓❔")
_SIGNS: Final = frozenset({"So", "Cn", "Co"})
_REPEATED: Final = re.compile(r"([^\d])\1+")

BUILT_IN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "en": (
            "thank you", "thank u", "thank you very much", "thank you so much", "thanks", "thanks a lot", "many thanks", "thx",
            "tnx", "ty", "tysm", "cheers", "much appreciated", "appreciate it", "i appreciate it", "no thanks",
            "bye", "goodbye", "bye bye", "have a nice day", "have a good day", "have a great day",
            "you are the best", "you're the best",
        ),
        "fa": (
            "ممنون", "ممنونم", "ممنونیم", "مرسی", "متشکر", "متشکرم", "متشکریم", "تشکر", "تشکر میکنم", "با تشکر", "سپاس", "سپاسگزار",
            "سپاسگزارم", "سپاسگذارم", "دست شما درد نکند", "دست شما درد نکنه", "دستتون درد نکنه", "دستت درد نکنه", "دم شما گرم",
            "دمتون گرم", "دمت گرم", "لطف کردید", "لطف کردین", "لطف دارید", "خسته نباشید", "خسته نباشین", "زنده باشید",
            "سلامت باشید", "خیر ببینید", "خدا خیرتون بده", "خداحافظ", "خدا نگهدار", "قربان شما", "فدای شما", "نه ممنون",
        ),
        EMOJI: tuple("👍👌🙏❤♥🧡💛💚💙💜🤍🖤🌹🌸💐🌷😊🙂☺😍🥰😘🤗👏💪🤝🙌✅"),
    }
)  # fmt: skip
"""The words of a tenant that lists none of its own for the language."""
_BESIDE: Final = (
    "ok", "okay", "alright", "all right", "great", "perfect", "good", "very good", "nice", "super", "cool",
    "got it", "understood", "so much", "very much", "a lot", "again", "for your help", "for the help", "for your time", "you too", "all good", "dear",
    "best regards", "kind regards", "regards",
    "باشه", "اوکی", "اکی", "چشم", "خیلی", "بسیار", "واقعا", "از شما", "از لطفتون", "از لطف شما", "از کمکتون", "از کمک شما",
    "از راهنماییتون", "از راهنمایی شما", "از راهنمایی تون", "بابت راهنمایی", "بابت کمکتون", "روز خوش", "روزتون بخیر", "شب بخیر", "شبتون بخیر",
    "با احترام", "عالی", "عالی بود", "متوجه شدم", "عزیز", "جان",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClosingWords:
    """A tenant's closing words, compiled. Created by `closing_words`. `within_ms` 0: closing words are work."""

    within_ms: int = 0
    words: frozenset[str] = frozenset()
    signs: frozenset[str] = frozenset()
    lengths: tuple[int, ...] = field(default=())
    """Lengths of all words that may occur, the longest first."""

    def only(self, text: str) -> bool:
        """Return whether the text consists of closing words. Linear in the text's length, which is bounded."""
        if not self.within_ms or not text or len(text) > MOST_CHARS or not _QUESTION.isdisjoint(text):
            return False
        signs = {sign for sign in text if unicodedata.category(sign) in _SIGNS}
        if not signs <= self.signs:
            return False
        written = _key(text)
        closes = self._closes(written)
        return bool(signs) if not written else closes > 0 or (closes == 0 and bool(signs))

    def _closes(self, written: str) -> int:
        """Return 1 if the text consists of words of which one closes, 0 if it consists of words that only accompany
        them, and -1 if anything else is in it."""
        reached = [-1] * (len(written) + 1)
        reached[0] = 0
        for at in range(len(written)):
            if reached[at] < 0:
                continue
            for length in self.lengths:
                word = written[at : at + length]
                if len(word) < length:
                    continue
                if word in self.words:
                    reached[at + length] = 1
                elif word in _BESIDE_KEYS:
                    reached[at + length] = max(reached[at + length], reached[at])
        return reached[-1]


def closing_words(within_ms: int, listed: Mapping[str, Iterable[str]]) -> ClosingWords:
    """Compile closing words. A language that is listed has the listed words only; the others have the built-in ones."""
    chosen = {**BUILT_IN, **{language: tuple(words)[:MOST_WORDS] for language, words in listed.items()}}
    texts = [word[:MOST_WORD_CHARS] for words in chosen.values() for word in words]
    words = frozenset(key for key in map(_key, texts) if key)
    signs = frozenset(sign for word in texts for sign in word if unicodedata.category(sign) in _SIGNS)
    lengths = tuple(sorted({len(key) for key in (*words, *_BESIDE_KEYS)}, reverse=True))
    return ClosingWords(within_ms, words, signs, lengths)


def _key(text: str) -> str:
    return "".join(_REPEATED.sub(r"\1", word) for word in text_key(text).split())


_BESIDE_KEYS: Final = frozenset(map(_key, _BESIDE))
EVERYWHERE: Final = closing_words(WITHIN_MS, {})
"""The closing words of a tenant that configures nothing."""
