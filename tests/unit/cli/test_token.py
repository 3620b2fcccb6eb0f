"""`chapar token`: mints tokens for each role by name, in development only."""

import json
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from services.chassis.tokens import SCOPES, JwtSettings, Role, ServiceTokenSettings, Verifier
from services.chassis.tokens.roles import SCOPES_OF
from services.cli.__main__ import app
from services.cli.local.development import environment_of, make_keys, tokens
from services.cli.local.workspace import SERVICES, Workspace
from services.cli.revocations import key_of, of_token


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a copy in which `chapar run` has run."""
    monkeypatch.setenv("CHAPAR_HOME", str(tmp_path))
    monkeypatch.setenv("CHAPAR_TENANT", "acme")
    monkeypatch.delenv("CHAPAR_TOKEN", raising=False)
    workspace = Workspace(tmp_path)
    make_keys(workspace)
    return workspace


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["token", *words])
    assert done.exit_code == code, done.output
    return done.output.strip()


def scopes(*words: str) -> set[str]:
    return set(jwt.decode(run(*words), options={"verify_signature": False})["scope"].split())


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("role", Role)
def test_each_role_is_minted_by_name(role: Role) -> None:
    """The token has exactly the role's scopes; an agent's token names the agent."""
    words = ["--agent", "sara"] if role is Role.AGENT else []
    assert scopes("--role", role.value, *words) == SCOPES_OF[role]


@pytest.mark.usefixtures("home")
def test_scopes_can_be_chosen() -> None:
    """Scopes can be given alone or with a role; without either, the token is that of the laptop's operator."""
    assert scopes() == SCOPES
    assert scopes("--agent", "sara") == SCOPES_OF[Role.AGENT]
    assert scopes("--scope", "ingest.follow_up", "--scope", "sla.read") == {"ingest.follow_up", "sla.read"}
    assert scopes("--role", "auditor", "--scope", "ingest.follow_up") == SCOPES_OF[Role.AUDITOR] | {"ingest.follow_up"}
    assert "UNKNOWN_SCOPE" in run("--scope", "root", code=1)
    assert "AGENT_MISSING" in run("--role", "agent", code=1)


@pytest.mark.usefixtures("home")
def test_a_role_cannot_be_combined_with_a_given_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scopes of CHAPAR_TOKEN are fixed."""
    monkeypatch.setenv("CHAPAR_TOKEN", "given")
    assert run() == "given"
    assert "TOKEN_GIVEN" in run("--role", "auditor", code=1)


@pytest.mark.parametrize("words", [(), ("--role", "auditor"), ("--agent", "sara")])
def test_no_token_is_minted_outside_development(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """No key is generated; the error says where to get a token."""
    for name, value in (("CHAPAR_HOME", str(tmp_path)), ("CHAPAR_TENANT", "acme")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CHAPAR_TOKEN", raising=False)
    assert "NOT_DEVELOPMENT" in run(*words, code=1)
    assert list(tmp_path.rglob("*.pem")) == []
    make_keys(Workspace(tmp_path))
    assert run(*words).count(".") == 2
    monkeypatch.setenv("CHAPAR_ADDRESS", "chapar.example:9000")  # the server there does not accept the local key
    assert "NOT_DEVELOPMENT" in run(*words, code=1)


def test_a_verifier_in_development_cannot_sign(home: Workspace) -> None:
    """Each service gets public keys only; the keys of sla and feedback are valid for one service each, with the scopes that they need."""
    for service in SERVICES:
        prefix = f"CHAPAR_{service.upper()}_JWT__"
        environment = environment_of(home, service)
        assert environment[f"{prefix}PUBLIC_KEY_FILE"].endswith("chapar.pub.pem")
        assert f"{prefix}SECRET_FILE" not in environment
        trusted = environment.get(f"{prefix}ISSUERS", "[]")
        settings = JwtSettings.model_validate(
            {"public_key_file": environment[f"{prefix}PUBLIC_KEY_FILE"], "issuers": json.loads(trusted)}
        )
        token = tokens(home, "sara", SCOPES_OF[Role.AGENT], agent_id="sara")("acme")
        assert Verifier.from_settings(settings).verify(token).agent_id == "sara"
        for issuer in settings.issuers:
            assert issuer.scopes
            assert "PRIVATE" not in Path(str(issuer.public_key_file)).read_text()
        own = environment.get(f"CHAPAR_{service.upper()}_SERVICE_TOKEN__KEY_FILE")
        assert (own is not None) == (service in {"sla", "feedback"})
        if own is not None:
            assert ServiceTokenSettings(key_file=Path(own)).key_file == Path(own)


@pytest.mark.usefixtures("home")
def test_exactly_one_option_says_what_to_revoke() -> None:
    """There are four options; a malformed token, or one without an id, is refused with what to do."""
    for words in ((), ("--id", "a", "--subject", "b"), ("--token", "a", "--agent", "b")):
        assert "WHAT_TO_REVOKE" in run("revoke", *words, code=1)
    for token in ("x", "a.b.c", "", "é"):
        if token:
            assert "TOKEN_MALFORMED" in run("revoke", "--token", token, code=1)
    assert "TOKEN_WITHOUT_ID" in run("revoke", "--token", jwt.encode({"sub": "x"}, "s" * 40), code=1)
    entry = of_token(jwt.encode({"jti": "t-1", "iss": "i"}, "s" * 40))
    assert key_of(entry) == "token/i/t-1"
