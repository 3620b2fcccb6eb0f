"""Figures of 2026-11-28 on two cores, Python 3.11, written by `python -m tests.bench.scaling --keep`.

Those at 24/s are from another run of the same day, on the same machine with less other work.
"""

from collections.abc import Mapping
from typing import Final

REFERENCE: Final[Mapping[str, float]] = {
    "engine_bytes{agents}": 2637,
    "exchange_cpu_ms{broker}": 9.052,
    "exchange_cpu_ms{feedback}": 0,
    "exchange_cpu_ms{ingest}": 4.163,
    "exchange_cpu_ms{router}": 5.144,
    "exchange_cpu_ms{sla}": 0.955,
    "idle_cpu_ms{broker}": 68.592,
    "idle_cpu_ms{feedback}": 22.448,
    "idle_cpu_ms{ingest}": 22.448,
    "idle_cpu_ms{router}": 13.718,
    "idle_cpu_ms{sla}": 19.954,
    "interaction_cpu_ms{broker at 24/s}": 12.1,
    "interaction_cpu_ms{broker at 2/s}": 43.845,
    "interaction_cpu_ms{broker at 4/s}": 36.29,
    "interaction_cpu_ms{broker at 8/s}": 27.154,
    "interaction_cpu_ms{feedback at 24/s}": 2.33,
    "interaction_cpu_ms{feedback at 2/s}": 9.531,
    "interaction_cpu_ms{feedback at 4/s}": 7.059,
    "interaction_cpu_ms{feedback at 8/s}": 4.485,
    "interaction_cpu_ms{ingest at 24/s}": 8.92,
    "interaction_cpu_ms{ingest at 2/s}": 27.531,
    "interaction_cpu_ms{ingest at 4/s}": 19.559,
    "interaction_cpu_ms{ingest at 8/s}": 14.173,
    "interaction_cpu_ms{router at 24/s}": 6.03,
    "interaction_cpu_ms{router at 2/s}": 13.269,
    "interaction_cpu_ms{router at 4/s}": 12.622,
    "interaction_cpu_ms{router at 8/s}": 11.514,
    "interaction_cpu_ms{sla at 24/s}": 2.77,
    "interaction_cpu_ms{sla at 2/s}": 11.028,
    "interaction_cpu_ms{sla at 4/s}": 8.194,
    "interaction_cpu_ms{sla at 8/s}": 5.735,
    "interaction_kb{days}": 573.97,
    "interaction_kb{in}": 103.578,
    "interaction_kb{out}": 63.728,
    "path_interactions_per_s": 2670,
    "rss_10k_mb{feedback}": 142.1,
    "rss_10k_mb{ingest}": 268.8,
    "rss_10k_mb{router}": 117.8,
    "rss_10k_mb{sla}": 175.9,
    "rss_idle_mb{feedback}": 126.4,
    "rss_idle_mb{ingest}": 154.5,
    "rss_idle_mb{router}": 96.9,
    "rss_idle_mb{sla}": 111.8,
}
