"""Character sets: what is believed, and when a page is given up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.extraction.charset_labels import codec_of, codec_of_standard
from corpusmill.pipelines.extraction.decode import ascii_in_place, decode
from corpusmill.pipelines.extraction.faults import PageFault

CHINESE = "机器学习的数据需要仔细清洗，否则模型会学到错误的东西。" * 8
JAPANESE = "港のそばに小さな灯台があり、毎晩おなじ時刻に火がともる。" * 4
KOREAN = "항구 옆의 등대는 매일 저녁 같은 시간에 불을 켠다. " * 4
GERMAN = "Über die Größe der Mühlen läßt sich streiten, schön sind sie alle. " * 8
RUSSIAN = "Маяк у гавани зажигают каждый вечер в одно и то же время. " * 4
UKRAINIAN = "Маяк у гавані запалюють щовечора, її світло бачать усі, хто їде. " * 4
POLISH = "Zażółć gęślą jaźń, latarnia świeci co wieczór. " * 4


def page(body: str, charset: str | None = None) -> str:
    meta = f'<meta charset="{charset}">' if charset else ""
    return f"<html><head>{meta}</head><body>{body}</body></html>"


@pytest.mark.parametrize(
    ("raw", "content_type", "text", "codec"),
    [
        (page(CHINESE, "gb2312").encode("gb18030"), "text/html", CHINESE, "gb18030"),
        (page(CHINESE).encode("gb18030"), "text/html; charset=GBK", CHINESE, "gb18030"),
        (page(CHINESE).encode("gb18030"), None, CHINESE, "gb18030"),
        (page(CHINESE, "utf-8").encode("gb18030"), "text/html", CHINESE, "gb18030"),  # mislabelled
        (page(CHINESE, "gb2312").encode(), "text/html; charset=gb2312", CHINESE, "utf-8"),  # mislabelled
        (page(GERMAN, "iso-8859-1").encode("cp1252"), None, GERMAN, "cp1252"),
        (page(GERMAN).encode("utf-16"), None, GERMAN, "utf-16-le"),
        (b"\xef\xbb\xbf" + page(GERMAN).encode(), "text/html; charset=latin1", GERMAN, "utf-8"),
        (page("日本語のページ", "iso-2022-jp").encode("iso2022_jp"), None, "日本語のページ", "iso2022-jp"),
        (page("한국어 문서입니다 " * 20, "euc-kr").encode("cp949"), None, "한국어 문서입니다", "cp949"),
        (page("plain").encode(), "text/html; charset=nonsense", "plain", "utf-8"),
        (page(KOREAN).encode("cp949"), None, KOREAN, "cp949"),
        (page(KOREAN, "utf-8").encode("cp949"), "text/html; charset=utf-8", KOREAN, "cp949"),  # mislabelled
        (page(JAPANESE).encode("iso2022_jp"), None, JAPANESE, "iso2022-jp"),
        (page(JAPANESE, "utf-8").encode("iso2022_jp"), "text/html; charset=utf-8", JAPANESE, "iso2022-jp"),
        (page(CHINESE).encode("utf-16-le"), None, CHINESE, "utf-16-le"),
        (page(GERMAN, "utf-8").encode("utf-16-be"), "text/html; charset=utf-8", GERMAN, "utf-16-be"),
        (page("ไทยมีภาษาของตัวเอง " * 9).encode("cp874"), None, "ไทยมีภาษาของตัวเอง", "cp874"),
        (page(KOREAN).encode("iso2022_kr"), None, KOREAN, "iso2022-kr"),
        (page(CHINESE, "hz-gb-2312").encode("hz"), None, CHINESE, "hz"),
        (page(CHINESE, "utf-8").encode("hz"), "text/html; charset=utf-8", CHINESE, "hz"),
        (page(GERMAN, "utf-7").encode("utf-7"), None, GERMAN, "utf-7"),
        (page(GERMAN).encode("utf-7"), None, GERMAN, "utf-7"),
        (page(CHINESE).encode("utf-32"), None, CHINESE, "utf-32-le"),
        (page(CHINESE).encode("utf-32-be"), "text/html; charset=utf-8", CHINESE, "utf-32-be"),
        (page(GERMAN).encode("utf-32-le"), None, GERMAN, "utf-32-le"),
        (page(RUSSIAN, "windows1251").encode("cp1251"), None, RUSSIAN, "cp1251"),
        (page(CHINESE, "cp936").encode("gb18030"), None, CHINESE, "gb18030"),
        (page(CHINESE, "utf8mb4").encode(), None, CHINESE, "utf-8"),
        (page(UKRAINIAN).encode("koi8-u"), None, UKRAINIAN, "koi8-u"),
        (page(POLISH).encode("iso8859-2"), None, POLISH, "iso8859-2"),
        # Headers that servers send by default, and other wrong ones.
        (page(CHINESE).encode("gb18030"), "text/html; charset=iso-8859-1", CHINESE, "gb18030"),
        (page(KOREAN).encode("cp949"), "text/html; charset=iso-8859-1", KOREAN, "cp949"),
        (page(JAPANESE).encode("euc_jp"), "text/html; charset=iso-8859-1", JAPANESE, "euc-jp"),
        (page(RUSSIAN, "koi8-r").encode("koi8-r"), "text/html; charset=latin1", RUSSIAN, "koi8-r"),
        (page(RUSSIAN).encode("koi8-r"), "text/html; charset=windows-1251", RUSSIAN, "koi8-u"),
        (page(RUSSIAN).encode("iso8859-5"), "text/html; charset=windows-1251", RUSSIAN, "iso8859-5"),
        (page(JAPANESE).encode("euc_jp"), "text/html; charset=shift_jis", JAPANESE, "euc-jp"),
        (page(GERMAN).encode().decode("cp1252").encode(), None, GERMAN, "utf-8 twice"),
        (b"\x1b[1mbold\x1b[0m", "text/plain", "bold", "utf-8"),  # a terminal's, not ISO 2022
    ],
)
def test_reads_what_a_reader_would_see(raw: bytes, content_type: str | None, text: str, codec: str) -> None:
    decoded, name = decode(raw, content_type, 0.05)
    assert text in decoded
    assert name.replace("_", "-").replace("windows-", "cp") == codec


def test_a_few_broken_bytes_do_not_condemn_a_utf8_page() -> None:
    raw = page(GERMAN, "utf-8").encode() + b"\xff caf\xe9"
    decoded, name = decode(raw, None, 0.05)
    assert name == "utf-8"
    assert GERMAN in decoded
    assert "�" in decoded


@pytest.mark.parametrize("stray", [b"\x81\x8d", b"\x9d"])
def test_a_stray_byte_does_not_condemn_an_ascii_page(stray: bytes) -> None:
    decoded, name = decode(page("plain words " * 40).encode() + stray, None, 0.05)
    assert name == "utf-8"
    assert decoded.count("\ufffd") == len(stray)


def test_no_language_is_no_text() -> None:
    raw = page("\u040c \u0404\u040e\u0451\u0416\u045e \u0449\u0454\u0431\u0414\u0429 " * 20).encode("cp855")
    with pytest.raises(PageFault, match="byte 27 and what follows read as no language in cp1252"):
        decode(raw, "text/html; charset=iso-8859-1", 0.05)


@pytest.mark.parametrize(
    "text",
    [
        "The “lamp” costs £5 – or 6 € – in the café. " * 9,  # signs, but not within words
        "ÄÖÜ " * 20,
        "a Â© b, then Ã© once among äöü äöü äöü äöü äöü",
        "Þetta er ljósið við höfnina og það lýsir öllum sem sigla. " * 4,
    ],
)
@pytest.mark.parametrize("codec", ["cp1252", "utf-8"])
def test_latin_text_is_left_alone(text: str, codec: str) -> None:
    decoded, name = decode(page(text, codec).encode(codec), None, 0.05)
    assert (decoded, name) == (page(text, codec), codec)


def test_plus_signs_and_braces_are_no_shifts() -> None:
    for text in (
        "a+bcd-e " * 9,
        "x~{y}~{z~} ",
        "C++-",
        "integrity=sha384-oqVu+AfXRKap7fdgCCY5uykM6R9G- " * 9,
    ):
        assert decode(page(text).encode(), None, 0.05) == (page(text), "utf-8")


def test_whether_tags_can_be_found_in_the_bytes() -> None:
    codecs = ("utf-8", "gb18030", "cp932", "utf-16-le", "utf-32-be", "iso2022_kr", "hz", "utf_7")
    assert [ascii_in_place(codec) for codec in codecs] == [True] * 3 + [False] * 5


def test_half_broken_pages_are_given_up() -> None:
    raw = (page("ü" * 50, "utf-8") + "").encode() + b"\xfc \xe4 \xf6 " * 12
    with pytest.raises(PageFault) as caught:
        decode(raw, None, 0.05)
    assert caught.value.why == "bad_charset"


@pytest.mark.parametrize("escape", [b"\x1b$)C", b"\x1b$B\x7f\x7f", b"\x1b$B$"])
def test_escape_sequences_are_no_text(escape: bytes) -> None:
    with pytest.raises(PageFault, match="not ISO-2022-JP: byte"):
        decode(page("a").encode() + escape + b"0!0!", None, 0.05)


@pytest.mark.parametrize("raw", [b"<p>a\0b\0c", b"<\0p", b"\0\0<p>text", b"", b"\0"])
def test_zero_bytes_are_not_always_utf16(raw: bytes) -> None:
    decoded, name = decode(raw, None, 0.05)
    assert (decoded.encode(), name) == (raw, "utf-8")


def test_damage_done_before_us_counts_as_well() -> None:
    with pytest.raises(PageFault, match="bad_charset"):
        decode(page("�" * 40 + "é").encode(), "text/html; charset=utf-8", 0.05)


def test_labels_follow_the_web() -> None:
    assert codec_of("GB2312") == "gb18030"
    assert codec_of("no-such-charset") is None
    assert codec_of("x-user-defined") is None
    assert codec_of("IBM852") == "cp852"
    assert codec_of_standard("IBM852") is None
    assert codec_of(" Win-1251 ") == "cp1251"


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="�")))
def test_valid_utf8_is_read_exactly(text: str) -> None:
    decoded, _ = decode(text.encode(), None, 0.05)
    assert decoded == text.removeprefix("\ufeff") or text.startswith("\ufeff")
