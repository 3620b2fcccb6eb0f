"""The processes of `chapar run`: their settings accept their environments, and their limits admit the load of one machine."""

import inspect
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.chassis.kafka_settings import KafkaSettings
from services.chassis.settings import ServiceSettings
from services.cli.commands.loadgen import DUPLICATES, loadgen
from services.cli.demo.director import DemoOptions
from services.cli.local.stack import StackOptions, plan, service_of
from services.cli.local.workspace import Workspace
from services.feedback.settings import FeedbackSettings
from services.ingest.settings import IngestSettings
from services.router.settings import RouterSettings
from services.sla.settings import SlaSettings

SETTINGS: Mapping[str, type[ServiceSettings]] = {
    "ingest": IngestSettings,
    "router": RouterSettings,
    "sla": SlaSettings,
    "feedback": FeedbackSettings,
}
LARGEST_DEMO = 20
"""The largest value that `chapar demo --size` accepts."""


@pytest.fixture(autouse=True)
def _nothing_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("CHAPAR_", "KAFKA_")):
            monkeypatch.delenv(name)


def environments(home: Path, options: StackOptions) -> dict[str, dict[str, str]]:
    """Return the environment of each process, by name: the inherited variables and the planned ones."""
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    specs, _ = plan(Workspace(home), options, kafka, "demo")
    inherited = {name: value for name, value in os.environ.items() if name.upper().startswith("CHAPAR_")}
    return {spec.name: {**inherited, **spec.environment} for spec in specs}


def ingest(home: Path, options: StackOptions | None = None) -> IngestSettings:
    return IngestSettings.load(env=environments(home, options or StackOptions())["ingest"])


def test_every_process_accepts_its_environment(tmp_path: Path) -> None:
    """The development limits are settings that exist."""
    for name, environment in environments(tmp_path, StackOptions(routers=2, ingests=2, slas=2, feedbacks=2)).items():
        assert SETTINGS[service_of(name)].load(env=environment).insecure_dev


def test_a_variable_is_for_a_service_or_for_one_process(tmp_path: Path) -> None:
    """The process's own counts."""
    of_service = {"ingest": {"CHAPAR_INGEST_HISTORY_DAYS": "7"}, "ingest-2": {"CHAPAR_INGEST_ROLE": "lanes"}}
    found = environments(tmp_path, StackOptions(ingests=2, of_service=of_service))
    ingests = [IngestSettings.load(env=found[name]) for name in ("ingest", "ingest-2")]
    assert [(each.role, each.history_days) for each in ingests] == [("all", 7), ("lanes", 7)]


def test_the_default_load_of_loadgen_is_within_the_limits(tmp_path: Path) -> None:
    """The load comes from one tenant and one address, for any duration."""
    defaults = inspect.signature(loadgen).parameters
    rate = defaults["rate"].default * (1 + DUPLICATES)
    found = ingest(tmp_path)
    assert found.tenant_rate >= 2 * rate
    assert not found.account_rate or found.account_rate >= 2 * rate  # 0: no limit
    assert found.http_per_peer >= 200  # its connections
    assert rate / defaults["customers"].default < found.sender_rate


def test_the_largest_demo_is_within_the_limits(tmp_path: Path) -> None:
    """All customers use one address; every web chat visitor is new, and all may be connected at once."""
    count = {channel: LARGEST_DEMO * each for channel, each in DemoOptions().customers.items()}
    found = ingest(tmp_path)
    assert found.webchat_newcomer_burst >= count["webchat"]
    assert found.webchat_sockets_per_address >= count["webchat"]
    assert found.smtp_per_peer >= count["email"]
    assert found.tenant_burst >= 3 * sum(count.values())


def test_production_limits_can_be_measured(tmp_path: Path) -> None:
    """A bench of hostile load measures the production limits."""
    found = ingest(tmp_path, StackOptions(production_limits=True))
    own = IngestSettings.model_fields
    for name in ("tenant_rate", "tenant_burst", "webchat_newcomer_rate", "webchat_newcomer_burst", "http_per_peer"):
        assert getattr(found, name) == own[name].default


@pytest.mark.parametrize("how", ["exported", "for all", "for ingest"])
def test_a_limit_set_by_hand_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """An exported limit is not raised, nor is its burst; the other limits are."""
    given = {"CHAPAR_INGEST_TENANT_RATE": "3", "CHAPAR_INGEST_SMTP_PER_PEER": "2"}
    options = StackOptions()
    if how == "exported":
        for name, value in given.items():
            monkeypatch.setenv(name, value)
    elif how == "for all":
        options = StackOptions(environment=given)
    else:
        options = StackOptions(of_service={"ingest": given})
    found = ingest(tmp_path, options)
    assert (found.tenant_rate, found.smtp_per_peer) == (3, 2)
    assert found.tenant_burst == IngestSettings.model_fields["tenant_burst"].default
    assert found.webchat_newcomer_burst >= 100
