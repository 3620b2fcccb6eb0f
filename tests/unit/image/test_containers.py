"""Containers of the check are those of deploy/compose.yaml."""

import pytest

from tests.architecture.deployed import SETTINGS, composed
from tests.image.containers import run_words
from tests.image.ports import SERVERS, free_addresses

SERVICES = composed({})["services"]
OURS = ("secrets", "topics", "apply", "token", *SERVERS)


@pytest.mark.parametrize("name", OURS)
def test_every_container_has_only_the_rights_that_compose_gives(name: str) -> None:
    """Read-only, without capabilities, without a way to more rights."""
    words = run_words("image:1", SERVICES[name], {})
    options = words[: words.index("image:1")]
    assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--stop-timeout=75"} <= set(options)
    assert "--privileged" not in options


def test_the_entry_point_is_a_program_and_its_arguments_come_first() -> None:
    """docker run takes one program; compose lists its arguments with it."""
    words = run_words("image:1", {"entrypoint": ["chapar", "token"], "command": ["--minutes", 5]}, {"A": "1"})
    assert words == ["--network=host", "--entrypoint=chapar", "--env=A=1", "image:1", "token", "--minutes", "5"]


def test_a_container_without_a_network_keeps_none() -> None:
    """Only the containers that need one get the host's."""
    assert run_words("image:1", SERVICES["secrets"], {})[0] == "--network=none"
    assert run_words("image:1", SERVICES["router"], {}, network="none")[0] == "--network=none"


@pytest.mark.parametrize("key", ["privileged", "cap_add", "user"])
def test_a_key_that_is_not_translated_is_refused(key: str) -> None:
    """Otherwise the tested container would differ from the documented one, and no test would fail."""
    with pytest.raises(ValueError, match=key):
        run_words("image:1", {key: True}, {})


@pytest.mark.parametrize("service", SERVERS)
def test_services_accept_the_environment_of_the_check(service: str) -> None:
    """Compose's variables with the ports of this run are settings of the service; all servers listen on loopback."""
    addresses = free_addresses()
    environment = SERVICES[service]["environment"] | addresses.environment(service, "127.0.0.1:9")
    loaded = SETTINGS[service].load(env={name: str(value) for name, value in environment.items()})
    assert f"{loaded.grpc_host}:{loaded.grpc_port}" == addresses.of[service]["grpc"]
    assert f"{loaded.ops_host}:{loaded.ops_port}" == addresses.of[service]["ops"]
    assert {address.partition(":")[0] for address in addresses.of[service].values()} == {"127.0.0.1"}


def test_no_port_is_given_twice() -> None:
    """All containers share one network."""
    addresses = [address for servers in free_addresses().of.values() for address in servers.values()]
    assert len(set(addresses)) == len(addresses) == sum(map(len, SERVERS.values()))
