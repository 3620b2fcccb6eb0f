"""One fuzzing process: `python -m tests.fuzz.one KIND SECONDS DIRECTORY`. Ends with 0 when nothing was found.

Coverage guides it where atheris is installed (Linux); elsewhere Hypothesis changes the kept inputs at random.
"""

import importlib.util
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def with_atheris(kind: str, seconds: int, directory: Path) -> None:
    """Never returns: libFuzzer ends the process. A fault is a file `crash-…` in the directory."""
    import atheris

    with atheris.instrument_imports(include=["services", "tests.hostile"]):
        from tests.fuzz.targets import MOST_BYTES, feed_of, seeds_of

    corpus = directory / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds_of(kind)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MOST_BYTES}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={directory}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], feed_of(kind), enable_python_coverage=True)
    atheris.Fuzz()


def with_hypothesis(kind: str, seconds: int) -> None:
    """Returns after so many seconds. A fault is raised, with the smallest input that shows it."""
    from tests.fuzz.targets import feed_of, seeds_of

    feed = feed_of(kind)
    seeds = seeds_of(kind)
    for seed in seeds:
        feed(seed)
    piece = st.sampled_from(seeds).flatmap(
        lambda seed: st.integers(0, len(seed)).map(lambda at: (seed[:at], seed[at:]))
    )
    changed = st.tuples(piece, st.binary(max_size=200), piece).map(lambda three: three[0][0] + three[1] + three[2][1])
    until = time.monotonic() + seconds
    while time.monotonic() < until:

        @settings(
            max_examples=500,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(st.binary(max_size=2_000) | changed)
        def take(data: bytes) -> None:
            feed(data)

        take()


def main() -> None:
    """See the module."""
    kind, seconds, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    sys.argv[1:] = []
    if importlib.util.find_spec("atheris") is not None:
        with_atheris(kind, seconds, directory)
    else:
        with_hypothesis(kind, seconds)


if __name__ == "__main__":
    main()
