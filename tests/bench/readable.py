"""How much of what customers write is shown as new, and what reading a mail costs.

`new_text_exact`: the share of our own labelled mails (`tests/fixtures/mails`) whose new text is exactly the expected
one; those that were held out while the code was written have a figure of their own. The misses are printed.
`mail_parse_ms_p99`: the CPU of reading one mail of this corpus, of each mail the least of five readings.
"""

import time
from statistics import quantiles
from typing import Final

from services.ingest.domain.messages import new_text
from services.ingest.domain.normalise.mail.mail import read_mail
from tests.bench.figures import tell
from tests.fixtures.labelled_mails import HELD_OUT, LabelledMail, labelled_mails

GOAL: Final = ">=0.95"
_READINGS: Final = 5
_ENVELOPE: Final = ("customer@mail.example", "support@shop.example")


def main() -> None:
    """Report the figures."""
    mails = labelled_mails()
    held_out = [mail for mail in mails if mail.group.startswith(HELD_OUT)]
    for name, some in (("new_text_exact", mails), ("new_text_exact{held_out}", held_out)):
        missed = [mail.name for mail in some if not _is_exact(mail)]
        for each in missed:
            print(f"missed: {each}", flush=True)
        tell(name, 1 - len(missed) / len(some), "share", GOAL, mails=len(some), missed=missed)
    spent = [min(_cpu_ms(mail.raw) for _ in range(_READINGS)) for mail in mails]
    tell("mail_parse_ms_p99", quantiles(spent, n=100, method="inclusive")[-1], "ms", mails=len(spent))


def _is_exact(mail: LabelledMail) -> bool:
    read = read_mail(mail.raw, *_ENVELOPE)
    return new_text(read.text, read.text_parts).strip() == mail.new


def _cpu_ms(raw: bytes) -> float:
    begun = time.process_time()
    read_mail(raw, *_ENVELOPE)
    return (time.process_time() - begun) * 1000


if __name__ == "__main__":
    main()
