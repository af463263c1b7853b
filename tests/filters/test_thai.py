"""Thai documents by the limits of their own, on sentences written for this."""

from __future__ import annotations

import pytest

from corpusmill.filters.c4 import C4
from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.pipelines.contract.stage import Map
from tests.oracles.filters_documents import documents, reasons

OUTING = """\
เช้าวันเสาร์ครอบครัวของเราออกเดินทางไปตลาดริมน้ำด้วยรถไฟขบวนแรก อากาศเย็นสบายและมีหมอกบางปกคลุมทุ่งนาสองข้างทาง \
คุณยายเล่าเรื่องสมัยเด็กให้ฟังว่าแต่ก่อนต้องพายเรือไปขายผักทุกวัน
เมื่อถึงตลาดเราเลือกซื้อมะม่วงสุก ขนมครก และปลาสดจากแม่ค้าที่คุ้นเคย น้องชายขอให้แม่ซื้อว่าวกระดาษสีแดงซึ่งแขวนอยู่หน้าร้านขายของเล่น \
พ่อต่อรองราคาอย่างใจเย็นจนได้ส่วนลดมาเล็กน้อย
ตอนบ่ายพวกเราช่วยกันทำแกงส้มใส่ผักบุ้งที่เก็บมาจากสวนหลังบ้าน กลิ่นหอมของเครื่องแกงลอยไปถึงบ้านตรงข้าม \
เพื่อนบ้านจึงเดินมาทักทายและนำข้าวเหนียวมาแบ่งปันกัน
"""
PROGRAM = """\
ก่อนติดตั้งโปรแกรมควรสำรองข้อมูลสำคัญไว้ในแผ่นบันทึกอีกแผ่นหนึ่ง จากนั้นเปิดเครื่องใหม่แล้วเลือกภาษาที่ต้องการใช้งาน
หากเครื่องพิมพ์ไม่ตอบสนอง ให้ตรวจสอบสายไฟและกระดาษก่อนเป็นอันดับแรก แล้วจึงลองพิมพ์หน้าทดสอบจากรายการตั้งค่า
ผู้ใช้สามารถเปลี่ยนขนาดตัวอักษรและสีพื้นหลังได้ตามความถนัด การเปลี่ยนแปลงทั้งหมดจะมีผลทันทีโดยไม่ต้องปิดหน้าต่าง
"""
FAMILIES: tuple[Map, ...] = (GopherQuality(), GopherRepetition(), FinewebQuality(), C4())


@pytest.mark.parametrize("stage", FAMILIES, ids=lambda stage: str(stage.name))
@pytest.mark.parametrize("lang", ["th", "tha", None])
def test_prose_is_kept(stage: Map, lang: str | None) -> None:
    assert reasons(stage, [OUTING, PROGRAM], lang=[lang] * 2) == [None, None]


@pytest.mark.parametrize(
    ("stage", "text", "reason"),
    [
        (GopherQuality(), OUTING.splitlines()[0][:120], "gopher_short_doc"),
        (GopherQuality(), "|| ".join("กขคงจ") * 60, "gopher_below_alpha_threshold"),
        (GopherRepetition(), "ร้านนี้ขายดีมาก\n" * 40, "dup_line_frac"),
        (GopherRepetition(), "สั่งซื้อวันนี้ลดราคาทันที " * 60, "top_8_gram"),
        (FinewebQuality(), "กลับไปหน้าแรก\nตะกร้าสินค้า\nติดต่อเรา\nเข้าสู่ระบบ\n", "short_line_ratio"),
    ],
)
def test_what_is_no_prose_is_removed(stage: Map, text: str, reason: str) -> None:
    assert reasons(stage, [text], lang=["th"]) == [reason]


def test_limits_are_of_words_as_they_are_cut() -> None:
    """A word of Thai is a character with its marks: 190 of them are what 50 words of English are."""
    (words,) = GopherQuality().score(documents(["ที่นี่"], lang=["th"]))["words"].tolist()  # type: ignore[union-attr]
    assert words == 2
    limits = GopherQuality().by_language["th"]
    assert limits.min_words == 190
    assert all(len(word) == 1 for word in limits.stop_words)
