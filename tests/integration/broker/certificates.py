"""A certificate authority for tests, and the certificates that it signs, as PEM files: for tests of TLS."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _template(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )


@dataclass(frozen=True)
class Authority:
    directory: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    file: Path
    """Its certificate, for clients that trust it."""

    @staticmethod
    def create(directory: Path, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _template(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        file = directory / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Authority(directory, name, key, file)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key (PKCS #8, as Java needs it) for 127.0.0.1; a third file, `{name}.both.pem`, contains both."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _template(name, self.name, key.public_key())
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files = self.directory / f"{name}.crt.pem", self.directory / f"{name}.key.pem"
        files[0].write_bytes(public)
        files[1].write_bytes(private)
        (self.directory / f"{name}.both.pem").write_bytes(private + public)
        return files
