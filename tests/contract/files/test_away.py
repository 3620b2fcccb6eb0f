"""A file store that can't be used is reported, counted, and changes nothing."""

from pathlib import Path

import pytest

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.metrics import Metrics
from services.ingest.adapters.files.store import file_store
from services.ingest.domain.reasons import Reason
from services.ingest.metrics import METRICS


async def test_a_directory_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    """The caller can try again: the error is UNAVAILABLE, and it is counted by operation."""
    metrics = Metrics()
    metrics.declare(METRICS)
    store = file_store("", str(tmp_path), metrics)
    (tmp_path / "files").rmdir()
    (tmp_path / "files").write_text("a file is in the place of the directory")
    with pytest.raises(ChaparError) as away:
        await store.put("files/acme/identity/file", b"x")
    assert (away.value.kind, away.value.reason) == (ErrorKind.UNAVAILABLE, Reason.FILES_AWAY)
    assert metrics.value("chapar_file_store_errors_total", "put") == 1


async def test_a_bucket_that_does_not_answer_is_unavailable(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes soon when the connection is refused."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    metrics = Metrics()
    metrics.declare(METRICS)
    store = file_store("s3://bucket/chapar", "", metrics)
    with pytest.raises(ChaparError) as away:
        await store.get("files/acme/identity/file")
    assert away.value.reason == Reason.FILES_AWAY


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/files", "s3:"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    """The error names the setting."""
    with pytest.raises(ChaparError, match="files_url") as refused:
        file_store(url, "", Metrics())
    assert refused.value.reason == Reason.FILES_URL
