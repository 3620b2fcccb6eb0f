"""Certificates of the gRPC server, exchanged without a restart.

Each handshake checks the files' times and reads them again if they changed. If the new pair can't be read or doesn't match,
the old one remains in use and the error is logged: cert-manager writes the two files one after another.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.logs import get_logger
from services.chassis.reasons import Reason
from services.chassis.tls_files import Times, file_times


class CertificateFiles:
    """A certificate, its key and the authorities for callers, as files that may be replaced at any time."""

    def __init__(
        self, cert: Path, key: Path, ca: Path | None, on_load: Callable[[float], None] = lambda _expiry: None
    ) -> None:
        """`on_load` gets the certificate's expiry, Unix time in seconds, whenever a certificate is loaded."""
        self._paths = tuple(path for path in (cert, key, ca) if path is not None)
        self._cert, self._key, self._ca = cert, key, ca
        self._on_load = on_load
        # gRPC asks from its own threads.
        self._lock = threading.Lock()
        self._seen: Times = ()

    def credentials(self) -> grpc.ServerCredentials:
        """Return server credentials that follow the files. Raises INVALID TLS_FILES when the first pair is unusable."""
        try:
            first = self._load()
        except (OSError, ValueError) as error:
            raise ChaparError(
                ErrorKind.INVALID,
                Reason.TLS_FILES,
                f"can't use the TLS files {', '.join(map(str, self._paths))}: {error}",
            ) from error
        return grpc.dynamic_ssl_server_credentials(
            first,
            self._fetch,  # type: ignore[arg-type]  # None means "as before", which the stubs forget
            require_client_authentication=self._ca is not None,
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        with self._lock:
            try:
                if file_times(self._paths) == self._seen:
                    return None
                return self._load()
            except (OSError, ValueError) as error:
                get_logger(__name__).warning("certificate not taken", message=str(error))
                return None

    def _load(self) -> grpc.ServerCertificateConfiguration:
        times = file_times(self._paths)
        cert, key = self._cert.read_bytes(), self._key.read_bytes()
        ca = self._ca.read_bytes() if self._ca is not None else None
        parsed = x509.load_pem_x509_certificates(cert)[0]
        ours = load_pem_private_key(key, None).public_key()
        if _public(ours) != _public(parsed.public_key()):
            raise ValueError("the private key does not belong to the certificate")
        if ca is not None:
            x509.load_pem_x509_certificates(ca)
        self._seen = times
        self._on_load(parsed.not_valid_after_utc.timestamp())
        return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=ca)


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    # ^ all of cryptography's public keys have it, without a common type
    return encoded
