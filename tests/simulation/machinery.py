"""Parts that all runs of one process share, because they take long to make and no run changes what they decide."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from chapar.config.v1 import config_pb2
from services.chassis.kafka.partitioning import Partitioner
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys, decode
from services.feedback.metrics import METRICS as FEEDBACK
from services.ingest.lanes.policies import CompiledPolicies
from services.ingest.metrics import METRICS as INGEST
from services.policy.model.sla import TenantPolicies
from services.policy.reading.business_calendar import caching_calendars
from services.policy.reading.rule_conditions import CelConditions
from services.policy.reading.sla import policies_of
from services.router.lanes.shard_metrics import ShardMetrics
from services.router.metrics import METRICS as ROUTER
from services.sla.domain.tracked_interactions import CalendarOf
from tests.simulation.configuration import TENANTS, a_tenant


def _configurations() -> dict[str, config_pb2.TenantConfiguration]:
    return {name: a_tenant(name) for name in TENANTS}


@dataclass(slots=True)
class Machinery:
    """See the module."""

    configurations: dict[str, config_pb2.TenantConfiguration] = field(default_factory=_configurations)
    partitioner: Partitioner = field(default_factory=Partitioner)
    ingest: Metrics = field(init=False)
    feedback: Metrics = field(init=False)
    shard: ShardMetrics = field(init=False)
    intake_policies: CompiledPolicies = field(init=False)
    sla_policies: dict[str, TenantPolicies] = field(init=False)
    calendars: CalendarOf = field(init=False)
    programmes: ConfiguredProgrammes = field(init=False)

    def __post_init__(self) -> None:
        self.ingest = Metrics(INGEST, CollectorRegistry(auto_describe=True))
        self.feedback = Metrics(FEEDBACK, CollectorRegistry(auto_describe=True))
        self.shard = ShardMetrics(Metrics(ROUTER, CollectorRegistry(auto_describe=True)))
        self.intake_policies = CompiledPolicies(lambda: self.configurations, CelConditions)
        self.sla_policies = {name: policies_of(each) for name, each in self.configurations.items()}
        self.calendars = caching_calendars()
        surveys: dict[str, TenantSurveys] = {
            name: decode(name, each.SerializeToString()) for name, each in self.configurations.items()
        }
        self.programmes = ConfiguredProgrammes(surveys.get)
