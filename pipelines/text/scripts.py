"""The script of every letter, and what a script alone says of a text's language.

A table of bytes over code points, made from blocks of the Unicode Standard 16. Only letters (categories L*)
have a script; marks and digits have none. `OTHER` are letters of all scripts not named here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.code_points import CODE_POINTS, in_categories, within

# Script by its code of ISO 15924, and the blocks of its letters.
_BLOCKS = {
    "Latn": "0041-005A 0061-007A 00AA 00BA 00C0-02B8 1D00-1DBF 1E00-1EFF 2071-209C 2C60-2C7F A722-A7FF"
    " AB30-AB6F FB00-FB06 FF21-FF3A FF41-FF5A",
    "Cyrl": "0400-052F 1C80-1C8F 2DE0-2DFF A640-A69F",
    "Grek": "0370-03FF 1F00-1FFF",
    "Arab": "0600-06FF 0750-077F 0860-08FF FB50-FDFF FE70-FEFF",
    "Hebr": "0590-05FF FB1D-FB4F",
    "Armn": "0530-058F FB13-FB17",
    "Geor": "10A0-10FF 1C90-1CBF 2D00-2D2F",
    "Ethi": "1200-139F 2D80-2DDF AB01-AB2F",
    "Deva": "0900-097F A8E0-A8FF",
    "Beng": "0980-09FF",
    "Guru": "0A00-0A7F",
    "Gujr": "0A80-0AFF",
    "Orya": "0B00-0B7F",
    "Taml": "0B80-0BFF",
    "Telu": "0C00-0C7F",
    "Knda": "0C80-0CFF",
    "Mlym": "0D00-0D7F",
    "Sinh": "0D80-0DFF",
    "Thai": "0E00-0E7F",
    "Laoo": "0E80-0EFF",
    "Tibt": "0F00-0FFF",
    "Mymr": "1000-109F A9E0-A9FF AA60-AA7F",
    "Khmr": "1780-17FF",
    "Hang": "1100-11FF 3130-318F A960-A97F AC00-D7FF FFA0-FFDC",
    "Kana": "3041-3096 309D-309F 30A1-30FA 30FC-30FF 31F0-31FF FF66-FF9D 1B000-1B16F",
    "Hani": "3005-3007 3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF",
}
NONE, OTHER = 0, 1
SCRIPTS = ("", "other", *_BLOCKS)
"""Names of scripts by their numbers; Hiragana and Katakana are both `Kana`."""

# The language most written in a script, where that is clear enough to stand for what is not known.
_LANGUAGES = {
    "Jpan": "ja", "Hani": "zh", "Hang": "ko", "Thai": "th", "Arab": "ar", "Deva": "hi", "Cyrl": "ru",
    "Grek": "el", "Hebr": "he",
}  # fmt: skip
KANA_OF_JAPANESE = 0.1  # of the letters that are Han or Kana


@cache
def script_table() -> npt.NDArray[np.uint8]:
    """uint8[0x110000], read-only: the number in `SCRIPTS` of every letter, `NONE` for what is none."""
    table = np.full(CODE_POINTS, NONE, np.uint8)
    letters = in_categories("L")
    table[letters] = OTHER
    for number, name in enumerate(SCRIPTS):
        if number > OTHER:
            table[letters & within(_BLOCKS[name])] = number
    table.setflags(write=False)
    return table


def main_scripts(counts: npt.NDArray[np.int64]) -> list[str | None]:
    """Of counts of letters int64[n, len(SCRIPTS)]: the script with over half the letters of each text,
    `Jpan` for Han and Kana together with at least a tenth Kana, `Hani` with less; null where none has half.
    """
    names, letters = np.array(SCRIPTS, np.object_), counts.sum(axis=1)
    kana, han = counts[:, SCRIPTS.index("Kana")], counts[:, SCRIPTS.index("Hani")]
    most, east = counts.argmax(axis=1), kana + han
    found = np.where(2 * counts.max(axis=1, initial=0) > letters, names[most], None)
    eastern = np.where(kana >= KANA_OF_JAPANESE * east, "Jpan", "Hani").astype(np.object_)
    scripts: list[str | None] = np.where(2 * east > letters, eastern, found).tolist()
    return scripts


def language_of_script(script: str | None) -> str | None:
    """The language that stands for a script of `main_scripts` where nothing else is known of a text; null for
    Latin and scripts that many languages share.
    """
    return _LANGUAGES.get(script or "")
