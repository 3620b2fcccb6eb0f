"""OutboundService.ListTemplates: the approved templates of a tenant's accounts, as configured now."""

from typing import Final

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import ingest_pb2
from services.chassis.current_call import current_tenant
from services.ingest.adapters.edges.grpc_checks import optional, raise_for
from services.policy.reading.intake import approved_template

MAX_TEMPLATES: Final = 1_000


class ConfiguredTemplates:
    """Handles the method; the entries of a tenant are rebuilt when its configuration changes."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, list[ingest_pb2.TemplateView]] = {}

    def replace(self, tenant: str, configuration: config_pb2.TenantConfiguration | None) -> None:
        """Replace a tenant's configuration; None removes the tenant."""
        if configuration is None:
            self._by_tenant.pop(tenant, None)
            return
        self._by_tenant[tenant] = [
            ingest_pb2.TemplateView(
                channel=account.channel,
                account=account.account,
                name=each.name,
                language=each.language,
                body=each.body,
                parameters=approved_template(each).parameters,
                category=each.category or config_pb2.TEMPLATE_CATEGORY_UTILITY,
            )
            for account in configuration.channels
            for each in account.approved_templates
        ]

    def list_templates(self, request: ingest_pb2.ListTemplatesRequest) -> ingest_pb2.ListTemplatesResponse:
        """Return the templates of the caller's tenant, for a channel or an account if it names one."""
        raise_for((optional("channel", request.channel), optional("account", request.account)))
        found = [
            view
            for view in self._by_tenant.get(current_tenant(), ())
            if request.channel in ("", view.channel) and request.account in ("", view.account)
        ]
        return ingest_pb2.ListTemplatesResponse(templates=found[:MAX_TEMPLATES])
