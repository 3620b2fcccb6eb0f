"""Turns a service of deploy/compose.yaml into the words of `docker run`, so that the containers that are tested are the documented ones.

The engine has the host's network only: published ports and names on a network do not count, and each container gets its own ports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_NOT_HERE: Final = frozenset({"build", "depends_on", "logging", "ports", "profiles", "restart"})
"""Keys about building, about order, about published ports and about restarts, which the caller does itself."""
_SECONDS: Final = re.compile(r"(\d+)s")


def run_words(
    image: str, service: Mapping[str, Any], changed: Mapping[str, str], *, network: str = "host"
) -> list[str]:
    """Return the words after `docker run` for a container of this service, with `changed` in its environment.

    A service that says `network_mode: none` keeps it. Raises ValueError for a key that is not handled here, so that none is forgotten.
    """
    words = [f"--network={service.get('network_mode', network)}"]
    command = [str(word) for word in service.get("command", ())]
    for key, value in service.items():
        match key:
            case "read_only":
                words += ["--read-only"] if value else []
            case "cap_drop":
                words += [f"--cap-drop={each}" for each in value]
            case "security_opt":
                words += [f"--security-opt={each.replace(':true', '')}" for each in value]
            case "tmpfs":
                words += [f"--tmpfs={each}" for each in value]
            case "stop_grace_period":
                words.append(f"--stop-timeout={_seconds(value)}")
            case "volumes":
                words += [f"--volume={each}" for each in value]
            case "healthcheck":
                if value != {"disable": True}:
                    raise ValueError(f"healthcheck: {value}")
                words.append("--no-healthcheck")
            case "environment":
                pass  # with what is changed, below
            case "entrypoint":
                program, *rest = value
                words.append(f"--entrypoint={program}")
                command = [*rest, *command]
            case "image" | "command" | "network_mode":
                pass
            case _ if key in _NOT_HERE:
                pass
            case _:
                raise ValueError(f"{key}: {value}")
    environment = {**service.get("environment", {}), **changed}
    words += [f"--env={name}={value}" for name, value in environment.items()]
    return [*words, image, *command]


def _seconds(text: str) -> int:
    found = _SECONDS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is not a number of seconds, such as 75s")
    return int(found[1])
