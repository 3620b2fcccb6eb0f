"""Fills in `deploy/kafka/server.properties`."""

from __future__ import annotations

from pathlib import Path
from string import Template

from services.cli.local.broker.ports import Ports
from services.cli.local.broker.settings import CHECKOUT

TEMPLATE = CHECKOUT / "deploy" / "kafka" / "server.properties"


def render(ports: Ports, data: Path, template: Path = TEMPLATE) -> str:
    """Return the file's text. Backslashes are doubled because Java's property files read a backslash as an escape."""
    return Template(template.read_text()).substitute(
        port=ports.client, controller_port=ports.controller, data=str(data).replace("\\", "\\\\")
    )
