"""One fuzzing process: `python -m tests.fuzz.one SECONDS DIRECTORY KIND…`. Prints each kind with 0 when nothing was found.

Coverage guides it where atheris is installed (Linux); elsewhere Hypothesis changes the kept inputs at random. To prepare the
code for coverage takes longer than a short search, so one process prepares it, and a copy of that process fuzzes each kind.
"""

import importlib
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def prepare() -> None:
    """Import what is fuzzed, and count its coverage."""
    import atheris

    with atheris.instrument_imports(include=["services", "tests.hostile"]):
        importlib.import_module("tests.fuzz.targets")


def with_atheris(kind: str, seconds: int, directory: Path) -> None:
    """Never returns: libFuzzer ends the process. A fault is a file `crash-…` in the directory."""
    import atheris

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


def _in_a_copy(work: Callable[[], None]) -> int:
    """Run this in a forked process and return its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the copy must end here, whatever it raised
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """See the module."""
    seconds, directory, kinds = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    sys.argv[1:] = []
    guided = importlib.util.find_spec("atheris") is not None
    if guided:
        prepare()
    failed = False
    for kind in kinds:
        code = _in_a_copy(
            partial(with_atheris, kind, seconds, directory / kind)
            if guided
            else partial(with_hypothesis, kind, seconds)
        )
        failed = failed or code != 0
        print(f"fuzzed {kind}: {code}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
