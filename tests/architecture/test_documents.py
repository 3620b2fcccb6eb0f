"""Files that the documents name exist, and generated documents and code are up to date."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import capacity, metrics
from services.chassis import topics
from services.chassis.secrets import reference_problem
from services.cli.config.files import schema

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
PATHS = re.compile(r"`((?:services|protos|deploy|docs|tests)/[\w./-]+\.\w+)`")
LINKS = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    """Every path and every link in a document leads to an existing file."""
    text = document.read_text(encoding="utf-8")
    missing = [name for name in PATHS.findall(text) if not (ROOT / name).exists()]
    missing += [link for link in LINKS.findall(text) if not (document.parent / link).exists()]
    assert missing == []


def test_the_readme_names_the_files_on_the_path_of_an_interaction() -> None:
    """README shows the path file by file, through all four services and the chassis."""
    named = PATHS.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {name.split("/")[1] for name in named} >= {"ingest", "router", "sla", "feedback", "chassis"}


def test_the_schema_for_editors_matches_the_contract() -> None:
    """`make docs` was run after the last change of the contract."""
    assert json.loads((ROOT / "deploy/config/schema.json").read_text()) == schema()


def test_reference_tables_are_generated_from_the_code() -> None:
    """docs/topics.md and docs/metrics.md match the code."""
    assert (ROOT / "docs/topics.md").read_text() == topics.render_markdown()
    assert (ROOT / "docs/metrics.md").read_text() == metrics.page()


def test_the_page_of_scaling_has_the_figures_of_the_benches() -> None:
    """docs/scaling.md repeats docs/performance.md and the reference of the model; `make docs` writes it."""
    page = capacity.PAGE.read_text()
    assert page == capacity.rendered(page)


def test_generated_code_matches_the_contracts() -> None:
    """`make protos` was run after the last change of a contract."""
    check = subprocess.run(
        [sys.executable, "protos/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (check.returncode, check.stdout) == (0, "")


REFERENCES = re.compile(r"\b(?:env:(?=[A-Z<])[\w<>]+|file:[\w/<][\w./<>-]*)")
PLACES = {"<TENANT>": "SHOP", "<NAME>": "NAME", "<secret>": "secret", "<key>": "key", "<path>": "secret/key"}


def test_every_documented_reference_to_a_secret_has_an_accepted_form() -> None:
    """Contracts, messages, examples and documents show accepted forms only, because readers copy them."""
    kinds = ("protos/**/*.proto", "services/**/*.py", "deploy/**/*.yaml", "docs/**/*.md", "*.md")
    # Decisions may also describe earlier forms.
    files = [path for kind in kinds for path in ROOT.glob(kind) if not {".venv", "decisions"} & {*path.parts}]
    shown: dict[str, list[str]] = {}
    for path in files:
        for reference in REFERENCES.findall(path.read_text(encoding="utf-8")):
            shown.setdefault(reference, []).append(str(path.relative_to(ROOT)))
    wrong = {}
    for reference, where in shown.items():
        filled = reference
        for place, value in PLACES.items():
            filled = filled.replace(place, value)
        tenant = "demo" if "_DEMO__" in filled else "shop"
        if reference_problem(tenant, filled):
            wrong[reference] = where
    assert wrong == {}
    assert {"env:CHAPAR_SECRET_<TENANT>__<NAME>", "file:<secret>/<key>"} <= shown.keys()
