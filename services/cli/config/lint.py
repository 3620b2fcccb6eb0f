"""Lint of a configuration file: the findings of `services.policy.lint`, with their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from services.chassis.destinations import Destinations
from services.chassis.secrets import SecretReferences
from services.cli.config.files import Document, load
from services.policy.lint import checks
from services.policy.lint.review import Review


def lint(document: Document, is_set: Callable[[str], bool] | None = None) -> None:
    """Check the whole configuration; add findings to the document. Reads secrets from this machine's variables only.

    `is_set`: whether the services have a variable of the environment. None: not known, so variables are not checked.
    """
    configuration = document.configuration
    review = Review(
        configuration,
        datetime.now(UTC).date().isoformat(),
        document.lines.keys(),
        document.rules,
        partial(SecretReferences(lambda: 0).read, configuration.tenant),
        is_set or (lambda _variable: True),
    )
    checks.lint(review)
    for finding in review.findings.found:
        document.find(finding.code, finding.message, *finding.path, severity=finding.severity)


def checked(files: Iterable[Path], rules: Destinations, is_set: Callable[[str], bool] | None = None) -> list[Document]:
    """Load and lint files, and the YAML files in directories. `rules`: the destinations that a configuration may name."""
    documents = []
    for path in (p for file in files for p in (sorted(file.glob("*.y*ml")) if file.is_dir() else [file])):
        document = load(path)
        document.rules = rules
        if not document.findings:
            lint(document, is_set)
        documents.append(document)
    return documents
