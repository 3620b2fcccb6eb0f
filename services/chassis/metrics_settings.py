"""Which series a process shows, and how many."""

from pydantic import BaseModel, ConfigDict, Field


class MetricsSettings(BaseModel):
    """Labels and bounds of a process's metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    series: int = Field(
        default=4_000,
        ge=100,
        le=1_000_000,
        description="Most series of one metric; a histogram has one for each bucket of each label set. When they are used up, "
        "further label sets share one with the value 'other'.",
    )
    tenants: bool = Field(
        default=False,
        description="Metrics of queues and channels have the label 'tenant' too. Otherwise the queues of one name in several "
        "tenants share a series: counts are added, ages are the highest one, shares are weighted by their size.",
    )
