"""The claims that a signed token may have: times of this era, a bounded life, short names, and only rights that its issuer may grant."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.tokens import ClaimSettings, IssuerSettings, JwtSettings, Role, mint
from services.chassis.tokens.caller import Caller
from services.chassis.tokens.claims import ClaimRules, at, caller_of, times
from services.chassis.tokens.roles import SCOPES_OF
from services.chassis.tokens.verifier import Verifier

NOW = 1_700_000_000
GOOD: dict[str, Any] = {"sub": "x", "aud": "chapar", "iss": "chapar", "tenant": "acme", "iat": NOW, "exp": NOW + 600}
HUGE = int("9" * 400)
SECRET = b"0123456789abcdef0123456789abcdef"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def reason(claims: dict[str, Any], rules: ClaimRules = ClaimRules(), now_s: float = NOW) -> str:  # noqa: B008 frozen
    with pytest.raises(ChaparError) as caught:
        judged(claims, rules, now_s)
    assert caught.value.kind is ErrorKind.UNAUTHENTICATED
    return caught.value.reason


def judged(claims: dict[str, Any], rules: ClaimRules = ClaimRules(), now_s: float = NOW) -> Caller:  # noqa: B008 frozen
    return caller_of(claims, rules, *times(claims, now_s, 5, rules.max_lifetime_s))


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        math.inf, -math.inf, math.nan, 1e400, -1, -0.5, HUGE, -HUGE, 253_402_300_800, 1e300, True, False,
        "1700000600", "", "Infinity", None, [], [NOW], {}, {"seconds": NOW},
    ],
)  # fmt: skip
def test_a_time_is_a_finite_number_of_this_era(name: str, value: Any) -> None:
    """A token with `exp: Infinity` would be valid for ever; texts, booleans and lists are not times at all."""
    assert reason({**GOOD, name: value}) == "TOKEN_MALFORMED"


@pytest.mark.parametrize("missing", ["exp", "iat"])
def test_a_token_without_its_times_is_refused(missing: str) -> None:
    """It would have no end, or no beginning from which its life is measured."""
    assert reason({name: value for name, value in GOOD.items() if name != missing}) == "TOKEN_MALFORMED"


def test_times_may_have_fractions() -> None:
    """RFC 7519 allows them."""
    assert judged({**GOOD, "iat": NOW - 0.5, "exp": NOW + 59.5}).expires_s == NOW + 59.5


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": NOW + 86_401}, "TOKEN_LIFETIME"),
        ({"iat": 0, "exp": NOW + 60}, "TOKEN_LIFETIME"),
        ({"exp": 253_402_300_799}, "TOKEN_LIFETIME"),
        ({"exp": NOW}, "TOKEN_MALFORMED"),
        ({"exp": NOW - 1}, "TOKEN_MALFORMED"),
        ({"iat": NOW - 100, "exp": NOW - 5}, "TOKEN_EXPIRED"),
        ({"iat": NOW + 6, "exp": NOW + 60}, "TOKEN_REFUSED"),
        ({"nbf": NOW + 6}, "TOKEN_REFUSED"),
    ],
)
def test_a_life_is_bounded_and_in_order(changes: dict[str, Any], expected: str) -> None:
    """Refused: longer than the setting, an end before the beginning, expired, or not yet valid."""
    assert reason({**GOOD, **changes}) == expected


def test_the_longest_life_is_accepted_to_the_second() -> None:
    """The leeway counts at both ends."""
    judged({**GOOD, "exp": NOW + 86_400})
    judged({**GOOD, "iat": NOW - 60, "exp": NOW - 4})
    judged({**GOOD, "iat": NOW + 5, "exp": NOW + 60})


@given(st.dictionaries(st.sampled_from(["exp", "iat", "nbf"]), JSON))
@settings(max_examples=200)
def test_with_any_times_the_token_ends_within_the_setting(times_: dict[str, Any]) -> None:
    """The token is refused, or it ends at a known time within the limit."""
    try:
        caller = judged({**GOOD, **times_})
    except ChaparError:
        return
    assert NOW - 5 <= caller.expires_s <= NOW + 5 + 86_400


@pytest.mark.parametrize("name", ["sub", "tenant", "agent", "jti"])
@pytest.mark.parametrize("value", [7, True, [], ["acme"], {}, "x" * 257, "س" * 201, "a\nb", "a\x00", "\u202eb"])
def test_a_name_is_short_printable_text(name: str, value: Any) -> None:
    """Names end up in logs, keys and metrics."""
    assert reason({**GOOD, name: value}) == "TOKEN_MALFORMED"


@pytest.mark.parametrize("value", [7, True, {}, {"a": 1}, [7], [["a"]], [""], "a " * 300, ["a"] * 300, ["x" * 300]])
def test_scopes_are_a_bounded_list_of_words(value: Any) -> None:
    """This holds for one text with spaces and for a list."""
    assert reason({**GOOD, "scope": value}) == "TOKEN_MALFORMED"


@pytest.mark.parametrize("value", ["a b", ["a", "b"], " b  a "])
def test_scopes_come_as_text_or_as_a_list(value: Any) -> None:
    """RFC 8693 has a text; other issuers have a list."""
    assert judged({**GOOD, "scope": value}).scopes == {"a", "b"}


PROVIDERS: dict[str, tuple[IssuerSettings, dict[str, Any], Caller]] = {
    "keycloak": (
        IssuerSettings(
            issuer="https://sso.acme.example/realms/desk",
            discovery=True,
            tenant="acme",
            claims=ClaimSettings(agent="preferred_username", roles=("realm_access.roles",), scopes=()),
            roles={"chapar-supervisor": Role.SUPERVISOR},
        ),
        {"preferred_username": "sara", "realm_access": {"roles": ["offline_access", "chapar-supervisor"]}},
        Caller("x", "acme", SCOPES_OF[Role.SUPERVISOR], "sara"),
    ),
    "keycloak, roles of a client": (
        IssuerSettings(
            issuer="k", tenant="acme", claims=ClaimSettings(roles=("/resource_access/chapar.api/roles",), scopes=())
        ),
        {"resource_access": {"chapar.api": {"roles": ["agent"]}}, "agent": "sara"},
        Caller("x", "acme", SCOPES_OF[Role.AGENT], "sara"),
    ),
    "azure": (
        IssuerSettings(
            issuer="a",
            tenants=("acme", "beta"),
            claims=ClaimSettings(subject="oid", tenant="extension_tenant", scopes=("scp",), roles=("roles",)),
            roles={"Chapar.Auditor": Role.AUDITOR},
        ),
        {"oid": "0-1", "extension_tenant": "beta", "scp": "routing.read", "roles": ["Chapar.Auditor"]},
        Caller("0-1", "beta", SCOPES_OF[Role.AUDITOR] | {"routing.read"}),
    ),
    "auth0": (
        IssuerSettings(
            issuer="0",
            tenants=("acme",),
            scopes=("routing.read", "agents.read"),
            claims=ClaimSettings(tenant="https://acme.example/tenant", scopes=("permissions",), scope_prefix="chapar:"),
        ),
        {"https://acme.example/tenant": "acme", "permissions": ["chapar:routing.read", "chapar:person.erase", "agents.read"]},
        Caller("x", "acme", frozenset({"routing.read"})),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROVIDERS)
def test_claims_of_known_providers_are_understood_as_they_are(name: str) -> None:
    """Nested roles, scopes under other names, prefixes, tenants fixed or claimed, a limit of the rights that the issuer grants."""
    issuer, claims, expected = PROVIDERS[name]
    given = {"sub": "x", "iat": NOW, "exp": NOW + 60, **claims}
    caller = judged(given, issuer.rules)
    assert (caller.subject, caller.tenant, caller.scopes, caller.agent_id) == (
        expected.subject, expected.tenant, expected.scopes, expected.agent_id,
    )  # fmt: skip


def test_an_issuer_of_one_tenant_never_names_another() -> None:
    """Its tokens' claims do not matter; a fixed tenant overrides the claim, and a list is not a name."""
    rules = IssuerSettings(issuer="i", tenants=("acme",)).rules
    assert judged({**GOOD, "tenant": "acme"}, rules).tenant == "acme"
    for tenant in ("beta", "*", "", "ACME", "acme ", "acme/beta"):
        assert reason({**GOOD, "tenant": tenant}, rules) == "TOKEN_TENANT"
    fixed = IssuerSettings(issuer="i", tenant="acme").rules
    assert judged({**GOOD, "tenant": "beta"}, fixed).tenant == "acme"


def test_a_service_without_a_tenant_may_name_only_those_of_its_issuer() -> None:
    """This holds only for the subjects that the settings list."""
    rules = IssuerSettings(issuer="i", tenants=("acme", "beta"), services=("chapar-sla",)).rules
    claims = {name: value for name, value in GOOD.items() if name != "tenant"}
    caller = judged({**claims, "sub": "chapar-sla"}, rules)
    assert (caller.tenant, set(caller.names_tenant)) == ("", {"acme", "beta"})
    assert reason({**claims, "sub": "someone"}, rules) == "TOKEN_TENANT"
    assert judged({**GOOD, "sub": "chapar-sla"}, rules).names_tenant == frozenset()


def test_roles_that_are_not_mapped_grant_nothing() -> None:
    """An identity provider's own `administrator` is not ours if a mapping exists."""
    rules = IssuerSettings(
        issuer="i", tenant="acme", claims=ClaimSettings(roles=("roles",)), roles={"x": Role.AGENT}
    ).rules
    assert judged({**GOOD, "roles": ["administrator", "offline"]}, rules).scopes == frozenset()


@given(JSON, st.text(max_size=30))
@settings(max_examples=200)
def test_no_path_breaks_on_any_claims(claims: Any, path: str) -> None:
    """A path ends at a value, or at nothing."""
    at(claims if isinstance(claims, dict) else {"a": claims}, path)


def test_a_verified_token_expires_with_its_leeway() -> None:
    """This time limits streams."""
    clock = ManualClock(NOW * 1000)
    token = mint(SECRET, "s", "acme", [], ttl=60, clock=clock)
    assert Verifier.from_secret(SECRET, clock=clock, leeway_s=7).verify(token).expires_s == NOW + 67


@pytest.mark.parametrize(
    "values",
    [
        {"issuers": ({"issuer": "a", "jwks_url": "https://a.example/k"},)},
        {"issuers": ({"issuer": "a", "tenants": ["acme"]},)},
        {"issuers": ({"issuer": "a", "jwks_url": "https://a/k", "tenants": ["acme"], "tenant": "beta"},)},
        {"issuers": ({"issuer": "a", "discovery": True, "tenants": ["acme"]},)},
        {"issuers": tuple({"issuer": "a", "jwks_url": f"https://a/{n}", "tenants": ["acme"]} for n in range(2))},
        {"jwks_url": "https://user:secret@a.example/keys"},
        {"jwks_url": "ftp://a.example/keys"},
        {"jwks_url": "https://a.example/keys", "jwks_file": "/keys"},
        {"max_lifetime_s": 31 * 86_400},
        {"issuers": ({"issuer": "a", "jwks_url": "https://a/k", "tenants": ["acme"], "roles": {"x": "root"}},)},
    ],
)
def test_settings_with_ambiguous_tenants_or_keys_are_refused(values: dict[str, Any]) -> None:
    """No tenants, no keys, or two values for one setting."""
    with pytest.raises(ValidationError):
        JwtSettings.model_validate(values)
