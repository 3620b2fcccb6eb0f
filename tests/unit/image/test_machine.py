"""Base images reach packages as this machine does."""

from pathlib import Path

import pytest

from tests.image.bases import DOCKERFILE, bases
from tests.image.machine import authorities, index_variables, mirror_of
from tests.image.programs import NoEngineError


def test_the_mirror_is_the_one_that_apt_uses() -> None:
    """Debian's own archive is taken, not its security archive and not another vendor's."""
    sites = ["https://vendor.example/apt", "http://mirror.example/debian-security", "http://mirror.example/debian/"]
    assert mirror_of(sites) == "http://mirror.example/debian"
    with pytest.raises(NoEngineError, match="no mirror of Debian"):
        mirror_of(sites[:2])


def test_the_package_index_is_the_one_that_pip_uses() -> None:
    """uv gets the same index; a variable of this process counts more than pip's files, as for pip itself."""
    config = "global.index-url='https://a.example/simple'\n:env:.find-links='/opt/wheels'\nglobal.cert='/etc/ca.crt'\n"
    assert index_variables(config, {"PATH": "/bin"}) == {
        "PIP_INDEX_URL": "https://a.example/simple",
        "UV_DEFAULT_INDEX": "https://a.example/simple",
    }
    assert index_variables(config, {"PIP_INDEX_URL": "https://b.example"})["PIP_INDEX_URL"] == "https://b.example"


def test_the_authorities_are_those_of_this_machine(tmp_path: Path) -> None:
    """A company's own authority is in the file that SSL_CERT_FILE names."""
    file = tmp_path / "ca.crt"
    file.touch()
    assert authorities({"SSL_CERT_FILE": str(file)}) == file
    assert authorities({"SSL_CERT_FILE": str(tmp_path / "none")}) != file


def test_the_base_images_are_those_of_the_dockerfile() -> None:
    """One builds and has a compiler, the other is slim and has none; both are of one release of Debian."""
    build, run = bases(DOCKERFILE.read_text(encoding="utf-8"))
    assert (build.slim, run.slim) == (False, True)
    assert build.release == run.release
    assert "gcc" in build.packages
    assert "gcc" not in run.packages
    with pytest.raises(ValueError, match="pypy"):
        bases("ARG BUILD_IMAGE=pypy:3.11-bookworm\n")
