"""From a record of `config.v1` to a tenant's configuration."""

from chapar.config.v1 import config_pb2
from services.chassis.errors import ChaparError, ErrorKind
from services.ingest.domain.reasons import Reason


def decode(key: str, raw: bytes) -> config_pb2.TenantConfiguration:
    """Decode a tenant's configuration for `ConfigReader`. Raises INVALID TENANT_MISMATCH, and protobuf's DecodeError."""
    configuration = config_pb2.TenantConfiguration.FromString(raw)
    if configuration.tenant != key:
        raise ChaparError(ErrorKind.INVALID, Reason.TENANT_MISMATCH, "the record's key differs from its tenant")
    return configuration
