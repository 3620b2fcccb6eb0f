"""Definitions of Strimzi's resources, derived from its classes on Maven Central.

Strimzi does not publish its definitions in a package registry, and its generator is not published either. `Schemas.java` derives the
schemas of version v1 from the classes: names and types of fields, required fields, limits, patterns and enums.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from services.cli.local.broker.cache import Cache
from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.fetch import Fetcher
from services.cli.local.broker.java import find_java
from services.cli.local.broker.lock import Jar
from services.cli.local.broker.settings import BrokerSettings
from tests.kube.objects import Object
from tests.kube.tools import ToolError

HERE: Final = Path(__file__).parent
KINDS: Final[Mapping[str, str]] = {
    "Kafka": "io.strimzi.api.kafka.model.kafka.Kafka",
    "KafkaNodePool": "io.strimzi.api.kafka.model.nodepool.KafkaNodePool",
    "KafkaTopic": "io.strimzi.api.kafka.model.topic.KafkaTopic",
    "KafkaUser": "io.strimzi.api.kafka.model.user.KafkaUser",
}
"""The kinds of `deploy/strimzi`, and their classes."""


class _Lock(BaseModel):
    model_config = ConfigDict(extra="forbid")

    jars: tuple[Jar, ...]


def definitions() -> list[Object]:
    """Return the definitions. Raises ToolError without a Java compiler, or when the classes cannot be had."""
    settings = BrokerSettings()
    jars = _Lock.model_validate_json((HERE / "jars.lock.json").read_bytes()).jars
    cache = Cache(settings.cache)
    try:
        java = find_java().executable
        Fetcher(cache, settings.maven_url).fetch(list(jars))
    except BrokerError as error:
        raise ToolError(str(error)) from error
    path = ":".join(str(cache.path_of(jar)) for jar in jars)
    with tempfile.TemporaryDirectory() as classes:
        compiler = java.with_name("javac")
        if not compiler.exists():
            raise ToolError(f"{java} has no compiler: install a JDK (Debian: openjdk-17-jdk-headless)")
        _run(str(compiler), "-d", classes, "-cp", path, "-sourcepath", str(HERE), str(HERE / "Schemas.java"))
        schemas = json.loads(_run(str(java), "-cp", f"{path}:{classes}", "Schemas", *KINDS.values()))
    return [_definition(kind, schemas[name]) for kind, name in KINDS.items()]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{Path(command[0]).name} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _definition(kind: str, spec: Object) -> Object:
    plural = f"{kind.lower()}s"
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": spec, "status": status}, "required": ["spec"]}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.kafka.strimzi.io"},
        "spec": {
            "group": "kafka.strimzi.io",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version | {"subresources": {"status": {}}}],
        },
    }
