"""Ports of the services on this machine."""

import json
from pathlib import Path

from services.cli.local.workspace import Workspace


def test_two_names_never_get_the_same_port(tmp_path: Path) -> None:
    """Also if both had it last time."""
    workspace = Workspace(tmp_path)
    known = workspace.ports(["ingest.http"])["ingest.http"]
    (workspace.directory("run") / "ports.json").write_text(json.dumps({"ingest.http": known, "router.ops": known}))
    chosen = workspace.ports(["ingest.http", "router.ops"])
    assert chosen["ingest.http"] == known
    assert chosen["router.ops"] != known
