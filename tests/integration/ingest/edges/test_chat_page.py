"""The web chat page in a real browser, on the real service: what a visitor sees after a reload, in a second tab, and
after a broken connection.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from chapar.common.v1 import types_pb2
from chapar.ingest.v1 import records_pb2
from services.chassis.kafka.producer import DurableProducer
from services.chassis.keys import tenant_key
from tests.integration.ingest.edges.conftest import Edges, configuration, ingest, install

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
ROOT = Path(__file__).parents[4]
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>&lt;b&gt;"


class Conversation:
    """Writes the records that the lanes would write: this test is about the page."""

    def __init__(self, edges: Edges, identity: records_pb2.Identity) -> None:
        self._edges = edges
        self._identity = identity
        self._id = str(uuid.uuid4())
        self._clock = 1_700_000_000_000

    async def write(self, **what: Any) -> None:
        self._clock += 1000
        record = records_pb2.ConversationRecord(
            event_id=str(uuid.uuid4()),
            tenant="demo",
            conversation_id=self._id,
            identity_id=self._identity.identity_id,
            person_id=f"person of {self._id}",
            occurred_at_ms=self._clock,
            **what,
        )
        async with DurableProducer(self._edges.kafka, client_id="lane") as producer:
            await producer.publish("conversations.v1", tenant_key("demo", self._id), record.SerializeToString())

    async def opened(self) -> None:
        opened = records_pb2.ConversationOpened(identity=self._identity, person_id=f"person of {self._id}")
        await self.write(opened=opened)

    async def customer(self, text: str, native_id: str) -> None:
        await self._message(types_pb2.ACTOR_KIND_CUSTOMER, self._identity.identity_id, text, native_id)

    async def agent(self, text: str) -> None:
        await self._message(types_pb2.ACTOR_KIND_AGENT, "sara", text, "")

    async def _message(self, kind: types_pb2.ActorKind.ValueType, author: str, text: str, native_id: str) -> None:
        message = records_pb2.ConversationMessage(
            message_id=str(uuid.uuid4()), author_kind=kind, author_id=author, text=text, channel="webchat",
            native_message_id=native_id,
        )  # fmt: skip
        await self.write(message=message)


class Page:
    """One browser tab."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self._browser = browser
        self._address = address

    async def open(self, *, new_tab: bool = False) -> None:
        def go() -> None:
            if new_tab:
                self._browser.switch_to.new_window("tab")
            self._browser.get(self._address)

        await asyncio.to_thread(go)

    async def script(self, code: str) -> Any:
        return await asyncio.to_thread(self._browser.execute_script, code)

    async def say(self, text: str) -> None:
        def type_() -> None:
            self._browser.find_element(By.ID, "text").send_keys(text + Keys.ENTER)

        await asyncio.to_thread(type_)

    def _texts(self) -> list[tuple[str, str]]:
        try:
            found = self._browser.find_elements(By.CSS_SELECTOR, "#log .m")
            return [(str(e.get_attribute("class")).split()[1], e.find_element(By.TAG_NAME, "span").text) for e in found]
        except StaleElementReferenceException:
            return []

    async def shows(self, *wanted: tuple[str, str]) -> None:
        """Wait until the page shows exactly these messages, in this order."""
        await self._until(lambda: self._texts() == list(wanted), wanted)

    async def connected(self) -> None:
        await self._until(lambda: self._browser.find_element(By.ID, "state").text == "وصل", "connected")

    async def _until(self, look: Callable[[], bool], wanted: object) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + 30
        while not await asyncio.to_thread(look):
            assert loop.time() < end, f"the page shows {await asyncio.to_thread(self._texts)}, not {wanted}"
            await asyncio.sleep(0.1)


@pytest.fixture
async def edges(kafka: Any, prefix: str, tmp_path: Path, edge_secrets: dict[str, str]) -> AsyncIterator[Edges]:
    """With history, and a live reader that starts now, so that earlier messages come from history."""
    settings = kafka.settings(prefix)
    await install(settings, configuration())
    async with ingest(settings, tmp_path, role="all", history=True, webchat_replay_s=0) as running:
        yield running


@pytest.fixture
async def page(edges: Edges, inspector: Chrome) -> AsyncIterator[Page]:
    address = edges.url("/chat?tenant=demo&account=main")
    await asyncio.to_thread(inspector.get, address)
    await asyncio.to_thread(inspector.execute_script, "localStorage.clear(); sessionStorage.clear()")
    before = set(inspector.window_handles)
    yield Page(inspector, address)
    for handle in set(inspector.window_handles) - before:
        inspector.switch_to.window(handle)
        inspector.close()
    inspector.switch_to.window(before.pop())


async def begin(edges: Edges, page: Page) -> Conversation:
    """Let a visitor write and an agent answer."""
    await page.open()
    await page.connected()
    await page.say("سلام، سفارش من کجاست؟")
    (record,) = await edges.inbound(1)
    conversation = Conversation(edges, record.message.identity)
    await conversation.opened()
    await conversation.customer(record.message.text, record.message.native_message_id)
    await conversation.agent("همین امروز می‌رسد.")
    await page.shows(*TOLD)
    return conversation


TOLD = (("customer", "سلام، سفارش من کجاست؟"), ("agent", "همین امروز می‌رسد."))


async def test_a_reloaded_page_shows_what_was_said(
    edges: Edges, page: Page, inspector: Chrome, tmp_path: Path, edge_secrets: dict[str, str]
) -> None:
    """Also on a replica that was started after the messages, and although an older version of the page stored a position."""
    conversation = await begin(edges, page)
    await page.open()
    await page.shows(*TOLD)
    await page.script("localStorage.setItem('chapar:demo/main:after', JSON.stringify({conversation: 'x', seq: 1e6}))")
    async with ingest(edges.kafka, tmp_path, role="all", history=True, webchat_replay_s=0, instance="later") as later:
        token = await page.script("return localStorage.getItem('chapar:demo/main:token')")
        other = Page(inspector, later.url("/chat?tenant=demo&account=main"))
        await other.open()
        await other.script(f"localStorage.clear(); localStorage.setItem('chapar:demo/main:token', '{token}')")
        await other.open()
        await other.shows(*TOLD)
        await conversation.agent("چیز دیگری هم هست؟")
        await other.shows(*TOLD, ("agent", "چیز دیگری هم هست؟"))
        assert await other.script("return document.documentElement.dir") == "rtl"


async def test_a_second_tab_shows_the_same_and_both_go_on(edges: Edges, page: Page, inspector: Chrome) -> None:
    """The second tab shows the history; both show each later message once."""
    conversation = await begin(edges, page)
    first = inspector.current_window_handle
    await page.open(new_tab=True)
    await page.shows(*TOLD)
    await conversation.agent("فردا هم هستیم.")
    await page.shows(*TOLD, ("agent", "فردا هم هستیم."))
    inspector.switch_to.window(first)
    await page.shows(*TOLD, ("agent", "فردا هم هستیم."))


async def test_a_reconnected_page_continues_where_it_was(edges: Edges, page: Page) -> None:
    """Messages sent meanwhile appear once, and no shown message appears again."""
    conversation = await begin(edges, page)
    asked = "const log = window.asked = []; const plain = WebSocket.prototype.send;"
    asked += (
        "WebSocket.prototype.send = function (text) { log.push(JSON.parse(text)); return plain.call(this, text); };"
    )
    await page.script(f"{asked} wait = 1500; socket.close()")
    await conversation.agent("هنوز هستید؟")
    await page.shows(*TOLD, ("agent", "هنوز هستید؟"))
    hello = (await page.script("return window.asked"))[0]
    assert (hello["type"], hello["after"].keys()) == ("hello", {"conversation", "seq"})


async def test_what_others_write_stays_text(edges: Edges, page: Page) -> None:
    """From the agent's side and from history: markup is shown as it was typed, and never runs."""
    conversation = await begin(edges, page)
    await conversation.agent(HOSTILE)
    await page.shows(*TOLD, ("agent", HOSTILE))
    await page.open()
    await page.shows(*TOLD, ("agent", HOSTILE))
    assert await page.script("return document.title") == "چاپار"
    assert await page.script("return document.querySelectorAll('#log img, #log script').length") == 0
    source = (ROOT / "services/ingest/adapters/pages/chat.html").read_text(encoding="utf-8")
    assert not [
        word for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(") if word in source
    ]


async def test_a_stranger_sees_nothing_of_it(edges: Edges, page: Page) -> None:
    """Without the visitor's token the page is empty."""
    await begin(edges, page)
    await page.script("localStorage.clear(); sessionStorage.clear()")
    await page.open()
    await page.connected()
    await page.shows()
