"""The engine's command line and the environment of docker commands."""

from pathlib import Path

import pytest

from tests.image.engine import arguments, mounts_below, variables, words_of_build
from tests.image.programs import NoEngineError


def test_the_engine_touches_nothing_outside_its_directory() -> None:
    """Data, sockets, configuration and process id are in the directory; the firewall and the network stay as they are."""
    words = arguments(Path("/here"))
    paths = [word.partition("=")[2].removeprefix("unix://") for word in words if "/" in word]
    assert len(paths) == 5
    assert all(path.startswith("/here/") for path in paths)
    assert {"--iptables=false", "--bridge=none"} <= set(words)


def test_a_path_that_is_too_long_for_sockets_is_refused() -> None:
    """The engine itself would end with an error about an invalid argument."""
    with pytest.raises(NoEngineError, match="too long"):
        arguments(Path("/" + "x" * 80))


def test_the_users_own_docker_settings_do_not_count() -> None:
    """A context, a remote host or stored credentials of the user are never used."""
    given = {"PATH": "/bin", "DOCKER_HOST": "tcp://elsewhere", "DOCKER_CONTEXT": "production"}
    assert variables(Path("/here"), given) == {
        "PATH": "/bin",
        "DOCKER_HOST": "unix:///here/socket",
        "DOCKER_CONFIG": "/here/client",
        "DOCKER_BUILDKIT": "0",
    }


def test_a_build_uses_the_hosts_network() -> None:
    """The engine has no other."""
    words = words_of_build(Path("D"), Path("context"), "tag:1", ["A=b"])
    assert words == ["build", "--network=host", "--file=D", "--tag=tag:1", "--build-arg=A=b", "context"]


def test_mounts_that_the_engine_left_are_found() -> None:
    """Only those below its directory, the deepest first, so that each can be unmounted."""
    mounts = "x / ext4 rw 0 0\nnsfs /here/exec/netns/a nsfs rw 0 0\ny /here/exec tmpfs rw 0 0\nz /here2/a\\040b tmpfs rw 0 0\n"
    assert mounts_below(Path("/here"), mounts) == ["/here/exec/netns/a", "/here/exec"]
    assert mounts_below(Path("/here2"), mounts) == ["/here2/a b"]
