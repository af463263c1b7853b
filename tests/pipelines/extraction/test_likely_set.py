"""Character sets of one byte a character: pages that state a wrong one, or none, read by their letters."""

from __future__ import annotations

import random

import pytest

from corpusmill.pipelines.extraction.decode import decode
from corpusmill.pipelines.extraction.faults import PageFault
from corpusmill.pipelines.extraction.letter_pairs import CODECS, is_judged, readings
from corpusmill.pipelines.extraction.likely_set import read_wrongly_before

TEXTS = {
    "tr": "Deniz fenerinin ışığı her akşam aynı saatte yanar ve bütün gemiciler onu görür. Köyün çocukları "
    "kıyıda oturup büyük şehirden gelen gemileri sayar, İstanbul'dan haber bekler. Yağmurda "
    "kimse dışarı çıkmaz, çünkü yollar çamur olur.",
    "lt": "Švyturys prie uosto įžiebiamas kiekvieną vakarą tuo pačiu metu, ir jo šviesą mato visi, kas "
    "plaukia į krantą. Žvejų vaikai sėdi ant akmenų ir skaičiuoja laivus, kurie grįžta iš tolimų kraštų. "
    "Žiemą jūra užšąla, tada čia būna labai tylu.",
    "lv": "Bāka pie ostas tiek iedegta katru vakaru vienā un tajā pašā laikā, un tās gaismu redz visi, kas "
    "brauc uz krastu. Zvejnieku bērni sēž uz akmeņiem un skaita kuģus, kas atgriežas no tālām zemēm. "
    "Ziemā jūra aizsalst, tad šeit ir ļoti kluss.",
    "cs": "Maják u přístavu se rozsvěcí každý večer ve stejnou hodinu a jeho světlo vidí všichni, kdo plují "
    "ke břehu. Děti rybářů sedí na kamenech a počítají lodě, které se vracejí z dalekých zemí. V zimě moře "
    "zamrzne a pak je tu úplné ticho, říká starý převozník.",
    "pl": "Latarnia przy porcie zapala się każdego wieczoru o tej samej godzinie, jej światło widzą wszyscy, "
    "którzy płyną do brzegu. Dzieci rybaków siedzą na kamieniach i liczą łodzie, które wracają z dalekich "
    "krajów. Zimą morze zamarza, wtedy jest tu bardzo cicho, mówi przewoźnik.",
    "hu": "A kikötő melletti világítótornyot minden este ugyanabban az órában gyújtják meg, és fényét "
    "mindenki látja, aki a part felé evez. A halászok gyerekei a köveken ülnek, és a távoli országokból "
    "megtérő hajókat számolják. Az erdőből jövő szél erősebb, a felhők sűrűbbek, az esőtől csöndes a "
    "tengeröböl, mondta az idősebb révész, aki sűrűn nézte az időjárást a gyűrűs távcsőből. A fűtött "
    "kunyhó küszöbén ült, körülötte nőttek a szőlők, és a füstölt hús gőzölgött a tűz fölött.",
    "ro": "Farul de lângă port se aprinde în fiecare seară la aceeaşi oră, iar lumina lui o văd toţi cei "
    "care vin spre ţărm. Copiii pescarilor stau pe pietre şi numără corăbiile care se întorc din ţări "
    "îndepărtate. Iarna marea îngheaţă şi atunci e foarte linişte aici.",
    "hr": "Svjetionik uz luku pali se svake večeri u isti čas, a njegovu svjetlost vide svi koji plove "
    "prema obali. Djeca ribara sjede na kamenju i broje brodove što se vraćaju iz dalekih zemalja. Zimi "
    "more šuti, pa je ovdje vrlo tiho, kaže stariji brodar koji živi u kućici među šljivama. Noću "
    "često čuje šum kiše, žabe i čudne glasove, a ujutro šeće žalom i traži školjke, puževe i češljeve.",
    "ru": "Маяк у гавани зажигают каждый вечер в одно и то же время, и свет его видят все, кто плывёт к "
    "берегу. Дети рыбаков сидят на камнях и считают лодки, которые возвращаются из далёких стран.",
    "uk": "Маяк у гавані запалюють щовечора в ту саму годину, і світло його бачать усі, хто пливе до "
    "берега. Діти рибалок сидять на камінні й рахують човни, що повертаються з далеких країв.",
    "el": "Ο φάρος δίπλα στο λιμάνι ανάβει κάθε βράδυ την ίδια ώρα και το φως του το βλέπουν όλοι όσοι "
    "έρχονται προς την ακτή. Τα παιδιά των ψαράδων κάθονται στις πέτρες και μετρούν τα καράβια.",
    "de": "Der Leuchtturm am Hafen wird jeden Abend zur gleichen Stunde angezündet, und sein Licht sehen "
    "alle, die zur Küste fahren. Die Kinder der Fischer sitzen auf den Steinen und zählen die Schiffe, die "
    "aus fernen Ländern zurückkehren. Im Winter gefriert das Wasser, dann ist es hier sehr still, erzählt "
    "der ältere Fährmann, der für die Überfahrt möglichst früh aufbricht.",
    "fr": "Le phare près du port est allumé chaque soir à la même heure, et sa lumière est vue de tous ceux "
    "qui naviguent vers la côte. Les enfants des pêcheurs s'asseyent sur les pierres où le sable a été "
    "lavé et comptent les bateaux qui reviennent de pays éloignés. L'hiver, la mer gèle à l'intérieur de "
    "la baie, ça dure peut-être un mois.",
    "es": "El faro junto al puerto se enciende cada noche a la misma hora, y su luz la ven todos los que "
    "navegan hacia la costa. Los niños de los pescadores se sientan allí y cuentan los barcos que volverán "
    "de países lejanos. Mañana habrá niebla, dirá el señor de más edad, y así será también después del "
    "otoño; el corazón está aún tranquilo, según la canción que cantó su compañía.",
    "sv": "Fyren vid hamnen tänds varje kväll på samma timme, och dess ljus ser alla som färdas mot kusten. "
    "Fiskarnas barn sitter på stenarna och räknar båtarna som kommer åter från främmande länder. På vintern "
    "fryser fjärden, då är det mycket tyst här, berättar den äldre färjkarlen.",
    "is": "Vitinn við höfnina er tendraður hvert kvöld á sömu stundu og ljós hans sjá allir sem sigla að "
    "landi. Börn sjómannanna sitja á steinunum og telja skipin sem snúa aftur úr fjarlægum löndum. Á "
    "veturna frýs víkin, þá er hér mjög hljótt, segir eldri ferjumaðurinn.",
}
SETS = {
    "tr": ("cp1254", "iso8859-9"),
    "lt": ("cp1257", "iso8859-13"),
    "lv": ("cp1257", "iso8859-13"),
    "cs": ("cp1250", "iso8859-2", "cp852"),
    "pl": ("cp1250", "iso8859-2", "cp852"),
    "hu": ("cp1250", "iso8859-2", "cp852"),
    "ro": ("cp1250", "iso8859-2"),
    "hr": ("cp1250", "iso8859-2"),
    "ru": ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic"),
    "uk": ("cp1251", "koi8-u", "cp1125"),
    "el": ("cp1253", "iso8859-7"),
    "de": ("cp1252", "mac-roman", "cp850"),
    "fr": ("cp1252", "mac-roman", "cp850"),
    "es": ("cp1252", "mac-roman"),
    "sv": ("cp1252", "mac-roman"),
    "is": ("cp1252",),
}
WRITTEN = [(language, codec) for language, codecs in SETS.items() for codec in codecs]


def page(language: str) -> str:
    return f"<html><head><title>a</title></head><body><p>{TEXTS[language]}</p></body></html>"


@pytest.mark.parametrize(
    "stated",
    [None, "text/html; charset=iso-8859-1", "text/html; charset=windows-1252", "text/html; charset=utf-8"],
)
@pytest.mark.parametrize(("language", "codec"), WRITTEN)
def test_a_wrong_or_missing_declaration_leaves_no_wrong_text(
    language: str, codec: str, stated: str | None
) -> None:
    text, _ = decode(page(language).encode(codec), stated, 0.05)
    assert text == page(language)


@pytest.mark.parametrize(("language", "codec"), WRITTEN)
def test_a_right_declaration_stays(language: str, codec: str) -> None:
    labels = {"cp1125": "cp866"}  # no label stands for the Ukrainian set
    if codec in labels or (codec.startswith("mac") and codec != "mac-roman"):
        pytest.skip("a set that pages cannot state")
    label = {"mac-roman": "macintosh"}.get(codec, codec.replace("iso8859", "iso-8859"))
    text, _ = decode(page(language).encode(codec), f"text/html; charset={label}", 0.05)
    assert text == page(language)


@pytest.mark.parametrize(
    ("language", "codec"),
    [
        (language, codec)
        for language, codec in WRITTEN
        if codec in ("cp1254", "cp1257", "cp1250", "cp1251", "koi8-r")
    ],
)
def test_text_that_was_read_wrongly_before_it_became_utf8(language: str, codec: str) -> None:
    wrong = page(language).encode(codec).decode("cp1252", "ignore")
    text, name = decode(wrong.encode(), "text/html; charset=utf-8", 0.05)
    assert text == wrong.encode("cp1252").decode(codec, "replace")
    assert name.endswith(" as cp1252")


@pytest.mark.parametrize("language", TEXTS)
def test_utf8_that_is_right_stays(language: str) -> None:
    assert decode(page(language).encode(), None, 0.05) == (page(language), "utf-8")
    assert read_wrongly_before(page(language), page(language).encode(), 1000) is None


def test_a_few_words_move_no_page_to_another_script() -> None:
    text = "<p>Müller, Größe, naïve, Curaçao</p>"
    assert decode(text.encode("cp1252"), None, 0.05) == (text, "cp1252")
    assert decode(text.encode("cp1252"), "text/html; charset=iso-8859-1", 0.05) == (text, "cp1252")


def test_quotation_marks_and_apostrophes_are_no_letters() -> None:
    text = "<p>It’s the brand’s “first” try—a farmer’s, says O’Neill… and we’ve seen it.</p>" * 9
    for codec in ("cp1252", "utf-8"):
        assert decode(text.encode(codec), f"text/html; charset={codec}", 0.05)[0] == text


def test_words_that_come_again_are_one_witness() -> None:
    once = readings("žluťoučký kůň".encode("cp1250"))
    assert readings(("žluťoučký kůň " * 50).encode("cp1250")) == once
    assert once[0].codec == "cp1250"


def test_what_is_judged() -> None:
    assert all(is_judged(codec) for codecs in CODECS.values() for codec in codecs)
    assert is_judged("koi8-r")
    assert not is_judged("gb18030")
    assert readings(b"plain <p>words</p>") == []
    assert readings(b"\xff" * 10, ("cp1252", "iso8859-1")) == readings(b"\xff" * 10, ("cp1252",))


def test_any_bytes_are_read_the_same_each_time() -> None:
    dice = random.Random(3)
    for size in (1, 2, 50, 5000, 300_000):
        raw = dice.randbytes(size)
        assert readings(raw) == readings(raw)
        assert readings(raw) == [] or all(one.pairs <= 200_000 for one in readings(raw))


def test_bytes_that_are_no_utf16_are_not_read_as_such() -> None:
    raw = page("cs").encode("cp1250")
    assert decode(raw, "text/html; charset=utf-16", 0.05) == (page("cs"), "cp1250")
    dice = random.Random(5)
    words = b" ".join(bytes(dice.choices(range(0x80, 0x100), k=6)) for _ in range(60))
    with pytest.raises(PageFault, match="bad_charset"):
        decode(words, "text/html; charset=utf-16", 0.05)


def test_a_line_of_signs_is_no_word() -> None:
    text = f"<p>Menü</p><pre>{'═' * 60}</pre><p>Größe, Länge, für später</p>"
    assert decode(text.encode("cp850"), None, 0.05) == (text, "cp850")
    assert readings(("═" * 60).encode("cp437")) == []


def test_a_few_words_of_no_language_are_quarantined() -> None:
    with pytest.raises(PageFault, match="byte 3 and what follows read as no language in cp1252"):
        decode(b"<p>\xb5\xc6\xcb\xfe\xc3\xbf\xcc\xec</p>", "text/html; charset=iso-8859-1", 0.05)
