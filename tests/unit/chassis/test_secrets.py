"""A tenant's configuration can read the tenant's own secrets and no others, whatever it names."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.secrets import SecretReferences, env_prefix, reference_problem

OTHERS = "the platform's"


@pytest.fixture
def references(tmp_path: Path) -> SecretReferences:
    """Secrets of two tenants whose names have the same beginning, and secrets of the platform."""
    (tmp_path / "jwt").write_text(OTHERS)
    secrets = tmp_path / "secrets"
    for tenant in ("acme", "acme-2"):
        (secrets / tenant / "telegram").mkdir(parents=True)
        (secrets / tenant / "telegram" / "token").write_text(f"token of {tenant}\n")
    (secrets / "acme" / "outside").symlink_to(tmp_path / "jwt")
    (secrets / "acme" / "neighbour").symlink_to(secrets / "acme-2")
    (secrets / "acme" / "..data").mkdir()
    (secrets / "acme" / "..data" / "key").write_text("mounted by kubernetes")
    (secrets / "acme" / "key").symlink_to("..data/key")
    (secrets / "acme" / "large").write_text("x" * (70 << 10))
    os.mkfifo(secrets / "acme" / "pipe")
    (secrets / "linked").symlink_to(tmp_path)
    env = {
        "CHAPAR_SECRET_ACME__TOKEN": "of acme",
        "CHAPAR_SECRET_ACME_2__TOKEN": "of acme-2",
        "CHAPAR_SECRET_ACME__2__TOKEN": OTHERS,
        "CHAPAR_INGEST_JWT__SECRET": OTHERS,
        "HOME": OTHERS,
        "CHAPAR_SECRET_": OTHERS,
    }
    return SecretReferences(lambda: 0, secrets, env)


def test_a_tenant_reads_its_own(references: SecretReferences) -> None:
    assert references.read("acme", "env:CHAPAR_SECRET_ACME__TOKEN") == "of acme"
    assert references.read("acme-2", "env:CHAPAR_SECRET_ACME_2__TOKEN") == "of acme-2"
    assert references.read("acme", "file:telegram/token") == "token of acme"
    assert references.read("acme", "file:key") == "mounted by kubernetes"


@pytest.mark.parametrize(
    "reference",
    [
        "env:CHAPAR_INGEST_JWT__SECRET",
        "env:HOME",
        "env:CHAPAR_SECRET_",
        "env:CHAPAR_SECRET_ACME_2__TOKEN",
        "env:CHAPAR_SECRET_ACME__2__TOKEN",
        "env:",
        "file:../acme-2/telegram/token",
        "file:telegram/../../acme-2/telegram/token",
        "file:./../../jwt",
        "file:outside",
        "file:neighbour/telegram/token",
        "file:large",
        "file:pipe",
        "file:telegram",
        "file:..data/../../../jwt",
        "file:/etc/passwd",
        "file:/proc/self/environ",
        "file://etc/passwd",
        "file:telegram/token\0",
        "file:",
        "https://example.org",
        "FILE:telegram/token",
        "",
    ],
)
def test_a_tenant_can_read_nothing_else(references: SecretReferences, reference: str) -> None:
    assert references.read("acme", reference) == ""


@pytest.mark.parametrize("tenant", ["", ".", "..", "../secrets/acme", "linked", "acme/telegram", "ACME"])
def test_a_tenant_name_is_not_used_as_a_path(references: SecretReferences, tenant: str) -> None:
    """Neither is it a link to another place."""
    assert references.read(tenant, "file:jwt") == ""
    assert references.read(tenant, "file:token") == ""


def test_without_a_directory_there_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "token").write_text("x")
    assert SecretReferences(lambda: 0, None, {}).read("acme", "file:acme/token") == ""


def test_a_rotated_file_is_read_again_after_a_while(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    clock = iter((0, 4_999, 5_000))
    references = SecretReferences(lambda: next(clock), tmp_path, {})
    for text, seen in (("one", "one"), ("two", "one"), ("two", "two")):
        (tmp_path / "acme" / "token").write_text(text)
        assert references.read("acme", "file:token") == seen


TENANTS = st.from_regex(r"[a-z0-9-]{1,6}", fullmatch=True)


@given(TENANTS, TENANTS, st.text("AB_0", max_size=8))
def test_no_variable_belongs_to_two_tenants(one: str, other: str, name: str) -> None:
    """For any names: tenant `a` cannot name a secret of `a-b`."""
    reference = f"env:{env_prefix(one)}{name}"
    if one.replace("-", "_") != other.replace("-", "_") and not reference_problem(one, reference):
        assert reference_problem(other, reference)
