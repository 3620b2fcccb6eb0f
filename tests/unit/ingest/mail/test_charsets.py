"""Text and names are readable, however a mail labels them."""

import base64

import pytest

from services.ingest.domain.normalise.mail.charsets import Charsets, labelled
from services.ingest.domain.normalise.mail.headers import decode_words
from services.ingest.domain.normalise.mail.parameters import decoded_parameter

PERSIAN = "سلام، سفارش من نرسيده است. لطفا پيگيري كنيد"


@pytest.mark.parametrize(
    ("text", "really", "label", "language"),
    [
        (PERSIAN, "cp1256", "iso-8859-1", ""),
        (PERSIAN, "cp1256", "us-ascii", ""),
        (PERSIAN, "cp1256", "windows-1252", "en"),
        (PERSIAN, "cp1256", "utf-8", ""),
        (PERSIAN, "cp1256", "windows-1256", ""),
        ("سفارش ۱۲ نرسیده", "utf-8", "windows-1256", "fa"),
        ("سفارش ۱۲ نرسیده", "utf-8", "iso-8859-1", ""),
        ("سلام", "cp1256", "", "fa"),
        ("سلام", "cp1256", "", ""),
        ("سلام", "cp1256", "iso-8859-1", ""),
        ("بله", "cp1256", "", "fa"),
        ("Order 12: سلام Ali", "cp1256", "iso-8859-1", "fa"),
        ("Grüße aus München, größer als die Straße", "iso-8859-1", "iso-8859-1", "fa"),
        ("où est ma commande à 12 € ?", "cp1252", "windows-1252", "fa"),
        ("Où est l'été déjà passé", "iso-8859-1", "iso-8859-1", ""),
        ("Smörgåsbord på Åland, hälsningar från Öland", "iso-8859-1", "iso-8859-1", "en"),
        ("Где мой заказ? Очень жду ответа", "cp1251", "", ""),
        ("Где мой заказ", "cp1251", "iso-8859-1", "ru"),
        ("ПРИВЕТ", "cp1251", "", "ru"),
        ("Πού είναι η παραγγελία μου", "cp1253", "iso-8859-1", ""),
        ("שלום איפה ההזמנה שלי", "cp1255", "iso-8859-1", "he"),
        ("注文はまだ届きません", "iso2022_jp", "", ""),
        ("注文はまだ届きません", "iso2022_jp", "us-ascii", "fa"),
        ("注文はまだ届きません", "iso2022_jp", "iso-2022-jp", ""),
        ("注文はまだ届きません", "shift_jis", "shift_jis", ""),
        ("我的订单还没有到", "gb18030", "gb2312", ""),
        ("hello", "utf-16-le", "utf-16le", ""),
        ("plain ascii", "ascii", "x-unknown", ""),
    ],
)
def test_bodies_are_readable(text: str, really: str, label: str, language: str) -> None:
    """UTF-8 comes before the label, the label before a guess, and a Western label is not believed for Persian."""
    assert Charsets(language).text(text.encode(really), label) == text


def test_a_text_that_was_cut_within_a_letter_remains_utf8() -> None:
    """One broken letter does not turn a Persian text into another charset."""
    raw = (PERSIAN * 3).encode()
    assert Charsets("fa").text(raw[:-1], "utf-8").startswith(PERSIAN * 2)
    assert Charsets("fa").text(raw[1:], "").endswith(PERSIAN * 2)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("how", ["b", "q"])
def test_encoded_words_split_within_a_letter(how: str, size: int) -> None:
    """Words of one charset are joined before they are decoded."""
    raw = "سفارش من".encode()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    if how == "b":
        words = [f"=?UTF-8?B?{base64.b64encode(piece).decode()}?=" for piece in pieces]
    else:
        words = ["=?utf-8?q?" + "".join(f"={byte:02X}" for byte in piece) + "?=" for piece in pieces]
    assert decode_words(("Re: " + "\r\n ".join(words) + " ok").encode()) == "Re: سفارش من ok"


def test_words_of_two_charsets_are_apart() -> None:
    """Each charset is decoded for itself, and a word that can't be decoded remains as it is."""
    words = b"=?utf-8?q?=D8=B3?= =?windows-1256?q?=E1?= =?utf-8?q?=D8=A7?="
    assert decode_words(words) == "سلا"
    assert decode_words(b"=?utf-8?b?A?= x").endswith("x")


@pytest.mark.parametrize(
    "value",
    [
        "attachment; filename*=utf-8'fa'%D9%81%D8%A7%DA%A9%D8%AA%D9%88%D8%B1.pdf",
        "attachment; filename*=UTF-8''%D9%81%D8%A7%DA%A9%D8%AA%D9%88%D8%B1.pdf",
        "attachment; filename*0*=utf-8'fa'%D9%81%D8%A7%DA; filename*1*=%A9%D8%AA%D9%88%D8%B1; filename*2=.pdf",
        "attachment; filename*1*=%D8%AA%D9%88%D8%B1.pdf; filename*0*=utf-8''%D9%81%D8%A7%DA%A9",
        'attachment; filename="=?utf-8?q?=D9=81=D8=A7=DA=A9=D8=AA=D9=88=D8=B1=2Epdf?="',
        'attachment; filename="فاکتور.pdf"',
        "attachment; filename=fallback.pdf; filename*=utf-8''%D9%81%D8%A7%DA%A9%D8%AA%D9%88%D8%B1.pdf",
    ],
)
def test_names_of_files(value: str) -> None:
    """RFC 2231 with language and continuations, in any order, and what programs write instead."""
    assert decoded_parameter(value.encode(), "filename") == "فاکتور.pdf"


def test_plain_names_of_files() -> None:
    """Continuations without a charset, escapes in quotes, a semicolon in quotes, and no name."""
    assert decoded_parameter(b'x; name*0="a b"; name*1="c.txt"', "name") == "a bc.txt"
    assert decoded_parameter(rb'x; name="a \"b\"; c.txt"', "name") == 'a "b"; c.txt'
    assert decoded_parameter(b"x; filename=a.txt", "name") == ""


def test_headers_in_an_old_code_page() -> None:
    """A raw 8-bit header is read with the same order."""
    assert labelled("سلام".encode("cp1256"), "iso-8859-1") == "سلام"
    assert decode_words("موضوع: سلام".encode()) == "موضوع: سلام"
