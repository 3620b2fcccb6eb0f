"""Downloads of the locked jars into the cache, from a repository that fails in many ways."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.cli.local.broker.cache import Cache
from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.fetch import ATTEMPTS, Fetcher
from services.cli.local.broker.lock import Jar, JarLock
from services.cli.local.broker.ports import free_port
from tests.unit.broker.repository import Fault, Repository, serving

CONTENT = bytes(range(256)) * 4_000


@pytest.fixture
def repository() -> Iterator[Repository]:
    with serving() as repository:
        yield repository


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def fetcher(repository: Repository, cache: Cache) -> Fetcher:
    return Fetcher(cache, repository.url, first_pause_s=0.001, timeout_s=5)


@pytest.fixture
def jar(repository: Repository) -> Jar:
    return repository.add("one", CONTENT)


def part_of(cache: Cache, jar: Jar) -> Path:
    path = cache.path_of(jar)
    return path.with_name(path.name + ".part")


def is_whole(cache: Cache, jar: Jar, content: bytes = CONTENT) -> bool:
    return cache.path_of(jar).read_bytes() == content and not part_of(cache, jar).exists()


def test_missing_jars_are_downloaded_once(repository: Repository, fetcher: Fetcher, cache: Cache) -> None:
    """Every jar is in the cache under its Maven path, the progress adds up to the total, and a second check finds nothing missing."""
    jars = [repository.add(f"jar{number}", CONTENT[number:]) for number in range(12)]
    lock = JarLock(kafka="1", scala="2", jars=tuple(jars))
    counts: list[int] = []

    assert cache.missing(lock) == jars
    fetcher.fetch(jars, counts.append)

    assert sum(counts) == lock.size
    assert all(is_whole(cache, jar, CONTENT[number:]) for number, jar in enumerate(jars))
    assert cache.missing(lock) == []
    fetcher.fetch(jars, counts.append)
    assert len(repository.asked) == len(jars)


def test_a_cut_download_goes_on_where_it_stopped(
    repository: Repository, fetcher: Fetcher, cache: Cache, jar: Jar
) -> None:
    """The second request asks for the missing half only, and every byte is sent once."""
    repository.fail(jar, "truncate")
    counts: list[int] = []

    fetcher.fetch([jar], counts.append)

    assert is_whole(cache, jar)
    assert repository.ranges(jar) == [None, f"bytes={len(CONTENT) // 2}-"]
    assert repository.sent == len(CONTENT)
    assert sum(counts) == len(CONTENT)


def test_a_download_cut_by_the_end_of_the_process_goes_on_at_the_next_start(
    repository: Repository, fetcher: Fetcher, cache: Cache, jar: Jar
) -> None:
    """Bytes that an earlier run left as .part are not downloaded again."""
    part_of(cache, jar).parent.mkdir(parents=True)
    part_of(cache, jar).write_bytes(CONTENT[:1_000])

    fetcher.fetch([jar])

    assert is_whole(cache, jar)
    assert repository.ranges(jar) == ["bytes=1000-"]


@pytest.mark.parametrize("fault", ["ignore range", "wrong range", "refuse range"])
def test_a_server_that_cannot_resume_is_asked_for_the_whole(
    repository: Repository, fetcher: Fetcher, cache: Cache, jar: Jar, fault: Fault
) -> None:
    """200, a Content-Range that begins elsewhere, and 416 all lead to one whole download, never to a mixture."""
    part_of(cache, jar).parent.mkdir(parents=True)
    part_of(cache, jar).write_bytes(CONTENT[:1_000])
    repository.fail(jar, fault)

    fetcher.fetch([jar])

    assert is_whole(cache, jar)


def test_a_stale_part_causes_exactly_one_more_download(
    repository: Repository, fetcher: Fetcher, cache: Cache, jar: Jar
) -> None:
    """A .part with other bytes fails the checksum once; then the file is downloaded from its first byte."""
    part_of(cache, jar).parent.mkdir(parents=True)
    part_of(cache, jar).write_bytes(b"something else entirely")

    fetcher.fetch([jar])

    assert is_whole(cache, jar)
    assert repository.ranges(jar) == ["bytes=23-", None]


@pytest.mark.parametrize("fault", ["tamper", "too long"])
def test_a_file_that_is_not_the_locked_one_is_refused_by_name_and_deleted(
    repository: Repository, fetcher: Fetcher, cache: Cache, jar: Jar, fault: Fault
) -> None:
    """The error names the file and its address; neither the file nor a .part remains, and the other jars arrive."""
    neighbour = repository.add("neighbour", b"well")
    repository.fail(jar, *[fault] * ATTEMPTS)

    with pytest.raises(BrokerError, match=r"one-1\.0\.jar from http://.* is not the file that was locked"):
        fetcher.fetch([neighbour, jar])

    assert not cache.path_of(jar).exists()
    assert not part_of(cache, jar).exists()
    assert is_whole(cache, neighbour, b"well")


def test_a_file_tampered_with_in_the_cache_is_deleted_and_fetched_again(
    repository: Repository, fetcher: Fetcher, cache: Cache, jar: Jar
) -> None:
    """The same size and name do not help: the contents are hashed at each start."""
    fetcher.fetch([jar])
    cache.path_of(jar).write_bytes(CONTENT[::-1])

    assert cache.missing(JarLock(kafka="1", scala="2", jars=(jar,))) == [jar]
    assert not cache.path_of(jar).exists()
    fetcher.fetch([jar])
    assert is_whole(cache, jar)


def test_a_missing_file_is_named_at_once(repository: Repository, fetcher: Fetcher, jar: Jar) -> None:
    """404 is not retried: the mirror's address is wrong, and the error names the setting."""
    repository.fail(jar, "not found")

    with pytest.raises(BrokerError, match=r"one-1\.0\.jar is not at http://.*HTTP 404.*CHAPAR_MAVEN_URL"):
        fetcher.fetch([jar])

    assert len(repository.asked) == 1


def test_a_busy_server_is_asked_again(repository: Repository, fetcher: Fetcher, cache: Cache, jar: Jar) -> None:
    """The server answers 503 twice, then with the file."""
    repository.fail(jar, "busy", "busy")

    fetcher.fetch([jar])

    assert is_whole(cache, jar)
    assert len(repository.asked) == 3


def test_a_server_that_stays_busy_is_given_up(repository: Repository, fetcher: Fetcher, jar: Jar) -> None:
    """The client gives up after a bounded number of attempts; the error names the file, the status and what to do."""
    repository.fail(jar, "busy", "busy", "busy", "busy", "busy", "busy")

    with pytest.raises(BrokerError, match=r"one-1\.0\.jar could not be downloaded .*HTTP 503.*CHAPAR_MAVEN_URL"):
        fetcher.fetch([jar])

    assert len(repository.asked) == ATTEMPTS


def test_without_a_network_the_error_names_the_network(cache: Cache, jar: Jar) -> None:
    """If no server listens, the error names the address, the network and the mirror setting, without a traceback."""
    fetcher = Fetcher(cache, f"http://127.0.0.1:{free_port()}", first_pause_s=0.001)

    with pytest.raises(BrokerError, match=r"could not be downloaded .*check the network.*CHAPAR_MAVEN_URL"):
        fetcher.fetch([jar])


def test_a_cache_that_cannot_be_written_is_named(repository: Repository, jar: Jar, tmp_path: Path) -> None:
    """A file is in the place of the directory (this stops root too, unlike missing permissions)."""
    (tmp_path / "file").write_text("in the way")
    fetcher = Fetcher(Cache(tmp_path / "file" / "cache"), repository.url)

    with pytest.raises(BrokerError, match=r"cannot be written.*CHAPAR_CACHE_DIR"):
        fetcher.fetch([jar])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_named(fetcher: Fetcher, cache: Cache, jar: Jar) -> None:
    """The kernel's own ENOSPC becomes one sentence with the directory and the setting."""
    part_of(cache, jar).parent.mkdir(parents=True)
    part_of(cache, jar).symlink_to("/dev/full")

    with pytest.raises(BrokerError, match=r"The disk of .*cache is full.*CHAPAR_CACHE_DIR"):
        fetcher.fetch([jar])


def test_two_processes_that_download_at_once_download_once(
    repository: Repository, fetcher: Fetcher, cache: Cache
) -> None:
    """The second waits for the first and finds its files."""
    jars = [repository.add(f"jar{number}", CONTENT) for number in range(4)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(fetcher.fetch, jars), pool.submit(fetcher.fetch, jars)]:
            done.result(timeout=20)

    assert len(repository.asked) == len(jars)
    assert all(is_whole(cache, jar) for jar in jars)
