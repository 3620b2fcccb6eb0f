"""Keys of records and of lane state: the tenant is part of every one.

Ids are derived and so can be computed by all who know their parts. A key with its tenant keeps a record that
names another tenant's id among the records of the tenant that wrote it.
"""

_SEPARATOR = "/"


def tenant_key(tenant: str, entity_id: str) -> bytes:
    """The key of an entity of a tenant. Tenants' names have no `/`."""
    return f"{tenant}{_SEPARATOR}{entity_id}".encode("utf-8", "surrogatepass")


def split_key(key: bytes) -> tuple[str, str]:
    """(tenant, id) of a key. Raises ValueError for bytes that are none."""
    tenant, separator, entity_id = key.decode("utf-8", "surrogatepass").partition(_SEPARATOR)
    if not (tenant and separator and entity_id):
        raise ValueError("not tenant/id")
    return tenant, entity_id
