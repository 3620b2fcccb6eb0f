"""The web chat page in a real browser, on the real HTTP edge, with an account that can't work: it says what is wrong, and recovers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from chapar.config.v1 import config_pb2
from chapar.ingest.v1 import records_pb2
from services.chassis.byte_budget import ByteBudget, ByteShares
from services.chassis.clock import system_clock
from services.chassis.http import http_server
from services.chassis.kafka.poison import Poison
from services.chassis.metrics import Metrics
from services.chassis.pacing import Rate
from services.chassis.secrets import SecretReferences
from services.ingest.adapters.edges.accounts import AccountSecrets, ConfiguredAccounts
from services.ingest.adapters.edges.http_app import edge_app
from services.ingest.adapters.edges.http_files import FileDownloads
from services.ingest.adapters.edges.http_webhooks import Webhooks
from services.ingest.adapters.edges.ingress_limiter import IngressLimiter, IngressLimits
from services.ingest.adapters.edges.webchat_files import WebchatFiles
from services.ingest.adapters.edges.webchat_gate import GateLimits, WebchatLimits
from services.ingest.adapters.edges.webchat_history import NoChatHistory
from services.ingest.adapters.edges.webchat_hub import WebchatHub
from services.ingest.adapters.edges.webchat_in import Webchat
from services.ingest.adapters.files.links import FileLinks
from services.ingest.adapters.files.sealed import SealedFiles
from services.ingest.adapters.files.store import file_store
from services.ingest.adapters.files.uploads import UploadReceipts
from services.ingest.domain.files.policy import FilePolicy
from services.ingest.metrics import METRICS
from tests.fakes.privacy import MemoryKeys

pytestmark = pytest.mark.slow
MUCH = Rate(100, 100)


class Log:
    """A log in memory."""

    async def publish(self, records: Sequence[tuple[str, records_pb2.InboundRecord]]) -> None:
        """Forget the records."""


@dataclass
class Site:
    """The edge's address, and the environment from which it reads its secrets."""

    address: str
    environment: dict[str, str]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Serve a tenant with a web chat whose secret is a variable, and one without a secret."""
    tenant = config_pb2.TenantConfiguration(tenant="bank", default_language="en")
    tenant.channels.add(channel="webchat", account="main", secrets={"visitor_token": "env:CHAPAR_SECRET_BANK__CHAT"})
    tenant.channels.add(channel="webchat", account="bare")
    accounts, environment, metrics = ConfiguredAccounts(), dict[str, str](), Metrics(METRICS)
    accounts.replace("bank", tenant)
    secrets = AccountSecrets(SecretReferences(system_clock, env=environment))
    limiter = IngressLimiter(Log(), IngressLimits(MUCH, MUCH, MUCH), system_clock, metrics)
    limits = WebchatLimits(100, GateLimits(50, MUCH, 50), 60, MUCH, 60, ())
    hub = WebchatHub(MemoryKeys(), Poison("test", metrics))
    files = SealedFiles(file_store("memory:///", "", metrics), MemoryKeys(), FilePolicy())
    links = FileLinks([b"k" * 32], str, system_clock, 60)
    downloads = FileDownloads(files, links)
    receipts = UploadReceipts([b"k" * 32], system_clock, 60)
    uploads = WebchatFiles(accounts, secrets, limiter, files, links, receipts, origins=(), token_s=60)
    webchat = Webchat(accounts, secrets, limiter, hub, NoChatHistory(), limits, metrics, uploads)
    budget = ByteBudget(ByteShares(1 << 20, 1 << 20, 1 << 18))
    webhooks = Webhooks({}, accounts, secrets, limiter, budget, max_body_bytes=1 << 20, body_timeout_s=5)
    async with http_server(
        edge_app(webhooks, webchat, downloads, uploads), "127.0.0.1", 0, ws_max_bytes=1 << 16
    ) as address:
        yield Site(f"http://{address}", environment)


class Page:
    """The page in the browser."""

    def __init__(self, browser: Chrome) -> None:
        self._browser = browser

    async def open(self, address: str) -> None:
        """Load the page without what an earlier one has kept."""
        await asyncio.to_thread(self._browser.get, address)
        await asyncio.to_thread(self._browser.execute_script, "localStorage.clear(); sessionStorage.clear()")
        await asyncio.to_thread(self._browser.get, address)

    def state(self) -> str:
        """Return the words of the page's state."""
        return str(self._browser.find_element(By.ID, "state").text)

    def can_type(self) -> bool:
        """Return whether the text box and the button take anything."""
        elements = self._browser.find_elements(By.CSS_SELECTOR, "#text, #form button")
        return all(element.is_enabled() for element in elements)

    async def until(self, look: Callable[[], Any]) -> None:
        """Wait until the page looks so."""
        end = asyncio.get_running_loop().time() + 30
        while not await asyncio.to_thread(look):
            assert asyncio.get_running_loop().time() < end, await asyncio.to_thread(self.state)
            await asyncio.sleep(0.1)


async def test_a_broken_account_is_named_and_takes_no_text_until_it_works(site: Site, inspector: Chrome) -> None:
    """The administrator sees the reason; when the secret is there, the page connects by itself."""
    page = Page(inspector)
    await page.open(f"{site.address}/chat?tenant=bank&account=main&lang=en")
    await page.until(lambda: "settings are incomplete" in page.state() and "(SECRET_UNREADABLE)" in page.state())
    assert not page.can_type()
    site.environment["CHAPAR_SECRET_BANK__CHAT"] = "a secret for the visitors of the bank"
    await page.until(lambda: page.state() == "connected")
    assert page.can_type()


@pytest.mark.parametrize(
    ("account", "words"),
    [("bare", "settings are incomplete"), ("nowhere", "There is no chat at this address")],
)
async def test_an_account_without_its_secret_and_one_that_does_not_exist(
    site: Site, inspector: Chrome, account: str, words: str
) -> None:
    """Neither says that it is disconnected, and neither takes text."""
    page = Page(inspector)
    await page.open(f"{site.address}/chat?tenant=bank&account={account}&lang=en")
    await page.until(lambda: words in page.state())
    assert not page.can_type()
