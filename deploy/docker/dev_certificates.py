"""Secrets for compose.yaml: an authority, a certificate per service, key pairs of tokens, the example tenant's channel secrets.

    python dev_certificates.py DIRECTORY ingest router sla feedback

For development only: one directory contains all keys, readable by the container's user. Existing files are kept, unless a certificate expires
within a week; then authority and certificates are created again, and running services use them without a restart.
"""

import ipaddress
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.chassis.tokens.minting import make_key_pair
from services.cli.local.kept_secrets import complete_env

VALID = timedelta(days=90)
RENEW_BEFORE = timedelta(days=7)


def main(arguments: Sequence[str]) -> int:
    """Create the files that are missing. Returns the exit code."""
    if len(arguments) < 2:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    directory, services = Path(arguments[0]), arguments[1:]
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    if not all(_good(directory / service / "tls.crt", now) for service in services):
        make_certificates(directory, services, now)
        print(f"certificates for {', '.join(services)} in {directory}, good for {VALID.days} days")
    keys = directory / "secrets" / "keys"  # where `chapar token` looks with CHAPAR_HOME set to this directory
    keys.mkdir(parents=True, exist_ok=True)
    for signer in ("chapar", "sla", "feedback"):
        make_key_pair(keys / f"{signer}.pem", keys / f"{signer}.pub.pem")
    _once(directory / "links", secrets.token_hex(32))
    _once(directory / "personal", secrets.token_hex(32))  # the master key of personal data
    complete_env(directory / "channels.env")
    return 0


def make_certificates(directory: Path, services: Sequence[str], now: datetime) -> None:
    """Create a new authority, without storing its key, and a certificate for each service with its name, its replicas' names and localhost."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Chapar development authority")])
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    (directory / "ca.crt").write_bytes(authority.public_bytes(Encoding.PEM))
    for service in services:
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name) for name in (service, f"*.{service}", "localhost")]
        certificate = (
            _builder(
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)]), authority_name, key.public_key(), now
            )
            .add_extension(
                x509.SubjectAlternativeName([*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
        )
        place = directory / service
        place.mkdir(exist_ok=True)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(place / "tls.key", private)
        _write(place / "tls.crt", certificate.public_bytes(Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _good(path: Path, now: datetime) -> bool:
    if not path.exists():
        return False
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - now > RENEW_BEFORE


def _once(path: Path, text: str) -> None:
    if not path.exists():
        _write(path, text.encode())


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_bytes(content)
    draft.chmod(0o600)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
