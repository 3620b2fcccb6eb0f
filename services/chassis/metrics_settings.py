"""How many series a process may show."""

from pydantic import BaseModel, ConfigDict, Field


class MetricsSettings(BaseModel):
    """Bounds of a process's metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    series: int = Field(
        default=4_000,
        ge=100,
        le=1_000_000,
        description="Most series of one metric; a histogram has one for each bucket of each label set. When they are used up, "
        "further label sets share one with the value 'other'.",
    )
