"""Which secrets sign survey links, and which links are valid."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.tokens import JwtSettings
from services.feedback.adapters.links import SignedLinks
from services.feedback.domain.reasons import Reason
from services.feedback.settings import FeedbackSettings
from services.feedback.wiring import survey_links
from tests.flow.feedback.test_pages import a_ticket
from tests.unit.feedback.builders import NOW


def a_secret(folder: Path, letter: str, size: int = 32) -> Path:
    file = folder / letter
    file.write_text(letter * size + "\n")
    return file


def links_of(**settings: Any) -> SignedLinks:
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    return survey_links(FeedbackSettings(instance="test", insecure_dev=True, kafka=kafka, **settings), "", lambda: NOW)


def test_a_secret_is_rotated_in_three_steps_and_no_link_is_refused(tmp_path: Path) -> None:
    """At each step there are processes of this step and of the one before, and each reads the other's links."""
    old, new = a_secret(tmp_path, "o"), a_secret(tmp_path, "n")
    steps = [
        links_of(link_secret_file=old),
        links_of(link_secret_file=old, link_further_secret_files=(new,)),
        links_of(link_secret_file=new, link_further_secret_files=(old,)),
    ]
    for before, after in pairwise(steps):
        assert before.read(after.token(a_ticket())) == a_ticket()
        assert after.read(before.token(a_ticket())) == a_ticket()
    last = links_of(link_secret_file=new)
    assert last.read(steps[2].token(a_ticket())) == a_ticket()
    assert last.read(steps[1].token(a_ticket())) is None


def test_the_derived_key_is_replaced_by_a_secret_of_its_own(tmp_path: Path) -> None:
    """An installation that derived the key needs a further secret only for the links of its own secret."""
    shared, own = JwtSettings(secret_file=a_secret(tmp_path, "s", 40)), a_secret(tmp_path, "o")
    derived, ready = links_of(jwt=shared), links_of(jwt=shared, link_further_secret_files=(own,))
    mine = links_of(jwt=shared, link_secret_file=own)
    assert ready.read(mine.token(a_ticket())) == ready.read(derived.token(a_ticket())) == a_ticket()
    assert mine.read(derived.token(a_ticket())) is None


@pytest.mark.parametrize("name", ["link_secret_file", "link_further_secret_files"])
def test_a_short_secret_is_refused(tmp_path: Path, name: str) -> None:
    """Also one that only verifies: a caller who guesses it can forge a link."""
    good, short = a_secret(tmp_path, "g"), a_secret(tmp_path, "x", 31)
    files = {"link_secret_file": good, name: short if name == "link_secret_file" else (short,)}
    with pytest.raises(ChaparError) as refused:
        links_of(**files)
    assert (refused.value.kind, refused.value.reason) == (ErrorKind.INVALID, Reason.LINK_SECRET_SHORT)


def test_links_need_a_secret() -> None:
    """A further secret signs nothing."""
    with pytest.raises(ChaparError) as refused:
        links_of()
    assert refused.value.reason == Reason.NO_LINK_SECRET
