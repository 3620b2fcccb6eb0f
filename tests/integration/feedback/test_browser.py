"""The survey page as customers use it: a real browser without JavaScript, by keyboard, in both languages, checked by
axe-core."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from services.chassis.http import http_server
from services.chassis.metrics import Metrics
from services.feedback.adapters.configuration import ConfiguredProgrammes, TenantSurveys
from services.feedback.adapters.handlers import ResponseIntake
from services.feedback.adapters.links import SignedLinks, link_key
from services.feedback.adapters.pages import Pages
from services.feedback.metrics import METRICS
from services.policy.model.surveys import Question, SurveyKind
from tests.flow.feedback.test_pages import Log, a_ticket
from tests.unit.feedback.builders import NOW, TENANT, a_programme, a_survey

SURVEY = a_survey(
    questions={"fa": "از پاسخی که گرفتید چقدر راضی بودید؟", "en": "How satisfied were you with our answer?"},
    more=(
        Question(
            "effort", SurveyKind.CES, {"fa": "حل کردن موضوع با ما آسان بود.", "en": "It was easy to get it handled."}
        ),
        Question("why", SurveyKind.TEXT, {"fa": "چرا این نمره؟", "en": "Why this score?"}),
        Question(
            "nps", SurveyKind.NPS, {"fa": "ما را پیشنهاد می‌کنید؟", "en": "Would you recommend us?"}, optional=True
        ),
    ),
)


@dataclass
class Site:
    """A served survey page, and the commands that it published."""

    links: SignedLinks
    log: Log

    def url(self, language: str = "fa", **fields: Any) -> str:
        return self.links.url(a_ticket(language, **fields))


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve the page from a thread of its own, because the browser's driver blocks."""
    log, metrics = Log(), Metrics(METRICS)
    programmes = ConfiguredProgrammes({TENANT: TenantSurveys(a_programme(SURVEY))}.get)
    key = link_key(b"s" * 40)
    pages = Pages(programmes, SignedLinks(key, "", lambda: NOW), ResponseIntake(log, lambda: NOW, metrics), metrics)
    ready: list[str] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with http_server(pages.app(), "127.0.0.1", 0, grace_s=1) as address:
            ready.append(address)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(20)
        yield Site(SignedLinks(key, f"http://{ready[0]}", lambda: NOW), log)
    finally:
        stop.set()
        thread.join(20)


def violations(browser: Chrome) -> list[str]:
    """Return what axe-core finds wrong: WCAG 2.1 AA and best practices."""
    browser.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    found = browser.execute_async_script("axe.run().then(r => arguments[0](r), e => arguments[0]({error: String(e)}))")
    assert found.get("passes"), found
    return [f"{each['id']}: {node['html'][:120]}" for each in found["violations"] for node in each["nodes"]]


def colours(browser: Chrome, scheme: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def focused(browser: Chrome) -> str:
    """Return class, name or text of the element that has the focus."""
    element = browser.switch_to.active_element
    return element.get_attribute("class") or element.get_attribute("name") or element.text


def there(browser: Chrome, selector: str) -> WebElement:
    """Return the element as soon as its page is loaded: pressing Enter does not wait for the next page."""
    found = WebDriverWait(browser, 20, 0.02, [StaleElementReferenceException]).until(
        lambda _: next((each for each in browser.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()), None)
    )
    assert found is not None
    return found


def press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def test_pages_run_no_script_in_this_browser(browser: Chrome) -> None:
    """Otherwise the tests below would prove nothing."""
    browser.get("data:text/html,<title>without</title><script>document.title='with'</script>")
    assert browser.title == "without"


def test_a_person_responds_by_keyboard_sees_what_is_missing_and_changes_the_response(
    browser: Chrome, site: Site
) -> None:
    """From right to left: a score by arrow keys, sent too early; the summary has the focus; the rest is filled in;
    the thanks; then once more."""
    browser.get(site.url("fa"))
    assert browser.find_element(By.TAG_NAME, "html").value_of_css_property("direction") == "rtl"
    assert browser.execute_script("return document.compatMode") == "CSS1Compat"

    press(browser, Keys.TAB, Keys.SPACE)
    assert browser.find_element(By.CSS_SELECTOR, "[name=score]:checked").get_attribute("value") == "1"
    press(browser, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    browser.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)

    there(browser, ".problem")
    assert focused(browser) == "problem"
    assert browser.title.startswith("پاسخ هنوز فرستاده نشده است")
    wrong = browser.find_elements(By.CSS_SELECTOR, ".problem a")
    assert [link.text for link in wrong] == ["حل کردن موضوع با ما آسان بود.", "چرا این نمره؟"]
    press(browser, Keys.TAB, Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "q-effort"
    assert site.log.commands == []

    press(browser, Keys.TAB, Keys.SPACE, Keys.TAB)
    assert focused(browser) == "q-why"
    press(browser, "كتابي خوب بود ۵", Keys.TAB, Keys.TAB)
    assert focused(browser) == "comment"
    press(browser, Keys.TAB)
    assert browser.switch_to.active_element.tag_name == "button", "the tab key does not stop at the field for programs"
    press(browser, Keys.ENTER)
    assert there(browser, ".told h1").text == "سپاسگزاریم"
    first = site.log.commands[0].response
    assert (first.score, [(each.question_id, each.score, each.text) for each in first.answers]) == (
        4,
        [("effort", 1, ""), ("why", 0, "كتابي خوب بود ۵")],
    )

    browser.find_element(By.LINK_TEXT, "تغییر پاسخ").click()
    there(browser, "form")
    assert browser.find_elements(By.CSS_SELECTOR, ":checked") == []
    assert "پاسخ تازه جای آن را می‌گیرد" in browser.find_element(By.CSS_SELECTOR, ".note").text
    for selector in ("[name=score][value='2']", "[name=q-effort][value='7']"):
        browser.find_element(By.CSS_SELECTOR, selector).click()
    browser.find_element(By.NAME, "q-why").send_keys("دیر شد")
    browser.find_element(By.TAG_NAME, "button").click()
    assert there(browser, ".told h1").text == "سپاسگزاریم"
    assert [command.response.score for command in site.log.commands] == [4, 2]
    assert len({command.command_id for command in site.log.commands}) == 2


@pytest.mark.parametrize("language", ["fa", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(inspector: Chrome, site: Site, language: str, scheme: str) -> None:
    """The questions, the form with errors, the thanks, and the page that does not exist; contrast in light and dark."""
    colours(inspector, scheme)
    url = site.url(language)
    inspector.get(url)
    assert violations(inspector) == []
    inspector.find_element(By.CSS_SELECTOR, "[name=score][value='5']").click()
    inspector.find_element(By.TAG_NAME, "button").click()
    there(inspector, ".wrong")
    assert violations(inspector) == []
    inspector.find_element(By.CSS_SELECTOR, "[name=q-effort][value='5']").click()
    inspector.find_element(By.NAME, "q-why").send_keys("!")
    inspector.find_element(By.TAG_NAME, "button").click()
    there(inspector, ".told")
    assert violations(inspector) == []
    inspector.get(url[:-9])
    assert violations(inspector) == []


@pytest.mark.parametrize("language", ["fa", "en"])
def test_a_narrow_screen_scrolls_in_one_direction_only(browser: Chrome, site: Site, language: str) -> None:
    """320 CSS pixels, as WCAG 1.4.10 requires; every choice is at least 44 pixels high."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        browser.get(site.url(language))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 320
        labels = browser.find_elements(By.CSS_SELECTOR, ".scale label")
        assert len(labels) == 5 + 7 + 11 + 1
        assert min(label.size["height"] for label in labels) >= 44
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("language", ["fa", "en"])
@pytest.mark.parametrize("width", [320, 390, 768])
def test_the_buttons_of_a_scale_are_equal(browser: Chrome, site: Site, language: str, width: int) -> None:
    """No button is larger than another of its scale, in Persian and in Latin digits; seven fit in one row of a usual telephone."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        browser.get(site.url(language))
        scales = browser.find_elements(By.CSS_SELECTOR, ".scale")
        buttons = [scale.find_elements(By.CSS_SELECTOR, "label:not(.skip) span") for scale in scales]
        assert [len(each) for each in buttons] == [5, 7, 11]
        assert buttons[1][-1].text == ("۷" if language == "fa" else "7")
        for each in buttons:
            rects = [
                browser.execute_script(
                    "const r = arguments[0].getBoundingClientRect(); return [r.width, r.height, r.top]", b
                )
                for b in each
            ]
            assert max(r[0] for r in rects) - min(r[0] for r in rects) < 0.5
            assert max(r[1] for r in rects) - min(r[1] for r in rects) < 0.5
            assert min(r[0] for r in rects) >= 36
            rows = len({r[2] for r in rects})
            assert rows == 1 or (width < 390 or len(each) == 11)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
