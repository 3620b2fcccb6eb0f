"""Which share of machines' mails ingest recognises, and which share of the kinds that it gives is right.

`automatic_recall` and `automatic_precision`: over all our own labelled mails (`tests/fixtures/automatic_mails`). The
mails that were held out while the rules were written have figures of their own. The wrong kinds are printed.
"""

from typing import Final

from tests.bench.figures import tell
from tests.fixtures.automatic_mails import HELD_OUT, KNOWN, figures, mails

GOAL: Final = ">=0.99"


def main() -> None:
    """Report the figures."""
    for suffix, names in (("", (*KNOWN, *HELD_OUT)), ("{held_out}", HELD_OUT)):
        given = mails(*names)
        found = figures(given)
        for each in found.wrong:
            print(f"wrong: {each}", flush=True)
        tell(f"automatic_recall{suffix}", found.recall, "share", GOAL, mails=len(given), wrong=found.wrong)
        tell(f"automatic_precision{suffix}", found.precision, "share", GOAL, mails=len(given), wrong=found.wrong)


if __name__ == "__main__":
    main()
