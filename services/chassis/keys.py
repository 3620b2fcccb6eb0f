"""Keys of records and of lane state: every key contains the tenant.

Ids are derived, so everyone who knows their parts can compute them. With the tenant in the key, a record that names
another tenant's id stays among the records of the tenant that wrote it.
"""

_SEPARATOR = "/"


def tenant_key(tenant: str, entity_id: str) -> bytes:
    """Return the key of an entity of a tenant. Tenant names contain no `/`."""
    return f"{tenant}{_SEPARATOR}{entity_id}".encode("utf-8", "surrogatepass")


def split_key(key: bytes) -> tuple[str, str]:
    """Return (tenant, id) of a key. Raises ValueError for bytes that are not a key."""
    tenant, separator, entity_id = key.decode("utf-8", "surrogatepass").partition(_SEPARATOR)
    if not (tenant and separator and entity_id):
        raise ValueError("not tenant/id")
    return tenant, entity_id
