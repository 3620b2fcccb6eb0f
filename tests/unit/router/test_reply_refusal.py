"""Which replies of a desk are refused before anything is written."""

import pytest

from chapar.common.v1.types_pb2 import SentFile, TemplateChoice
from chapar.router.v1 import router_pb2 as api
from services.router.domain.reasons import Reason
from services.router.translate.desk import reply_refusal

TEMPLATE, FILE = TemplateChoice(name="order_ready"), SentFile(file_id="f")


@pytest.mark.parametrize(
    ("reply", "refused"),
    [
        (api.Reply(text="yes"), ""),
        (api.Reply(text=" "), Reason.TEXT_EMPTY),
        (api.Reply(files=[FILE]), ""),
        (api.Reply(text="see", files=[FILE]), ""),
        (api.Reply(template=TEMPLATE), ""),
        (api.Reply(template=TemplateChoice()), Reason.TEXT_EMPTY),
        (api.Reply(text="yes", template=TEMPLATE), Reason.TEXT_AND_TEMPLATE),
        (api.Reply(files=[FILE], template=TEMPLATE), Reason.TEXT_AND_TEMPLATE),
    ],
)
def test_a_reply_has_a_text_or_files_or_a_template(reply: api.Reply, refused: str) -> None:
    """A template has its own words and carries no file."""
    assert reply_refusal(reply) == refused
