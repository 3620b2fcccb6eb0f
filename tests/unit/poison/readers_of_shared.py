"""The readers that more than one service runs."""

import atexit
import shutil
import tempfile
from pathlib import Path

from chapar.common.v1 import changelog_format_pb2, privacy_pb2, revocation_pb2, verdict_pb2
from services.chassis.finalised import format_of
from services.chassis.grpc.lifetimes import Lifetimes
from services.chassis.grpc.trust import take_revocation
from services.chassis.kafka.records import Record
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.metrics import Metrics
from services.chassis.privacy.keyring import Keyring
from services.chassis.privacy.keystore import KeyStore
from services.chassis.privacy.master import MasterKeys
from services.chassis.privacy.settings import DEVELOPMENT as MASTER
from services.chassis.questions import LaneQuestions
from tests.unit.poison.generator import NOW
from tests.unit.poison.reader import Reader, SilentLog, Take, configuration_reader, guarded


def _verdicts() -> Take:
    return guarded(LaneQuestions(1.0, {}).take)


def _personal_keys() -> Take:
    directory = tempfile.mkdtemp(prefix="chapar-fuzz-")
    atexit.register(shutil.rmtree, directory)
    kafka = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9"})
    keys = Keyring(
        kafka,
        MasterKeys([MASTER]),
        KeyStore(Path(directory) / "keys.sqlite3"),
        SilentLog(),  # type: ignore[arg-type]  # a fake
        client_id="fuzz",
        clock=lambda: NOW,
        metrics=Metrics(),
    )

    def take(record: Record) -> None:
        keys._apply([record], record.offset + 1)

    return take


def _revocations() -> Take:
    lifetimes = Lifetimes()
    return guarded(lambda record: take_revocation(lifetimes, record, NOW / 1000))


SHARED_READERS: tuple[Reader, ...] = (
    *(
        Reader(f"{service} verdicts", f"{service}.verdicts.v1", verdict_pb2.Verdict, f"{service}/wiring.py", _verdicts)
        for service in ("ingest", "feedback")
    ),
    Reader(
        "all personal keys", "personal.keys.v1", privacy_pb2.PersonalKey, "chassis/privacy/keyring.py", _personal_keys
    ),
    Reader(
        "all formats",
        "formats.v1",
        changelog_format_pb2.ChangelogFormat,
        "chassis/finalised.py",
        lambda: configuration_reader(format_of),
    ),
    Reader("all revocations", "revocations.v1", revocation_pb2.Revocation, "chassis/grpc/trust.py", _revocations),
)
