"""Labels of encodings to Python's codecs, as the WHATWG Encoding standard reads them, and some that it lacks.

The standard knows what browsers read. Pages also state what mail programs, databases and Windows call their
encodings; those are read where their name leaves no doubt.
"""

from __future__ import annotations

import re

# Codecs that hold another one and are written under its name.
_SUPERSETS = {
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
}
_BEYOND_THE_STANDARD = {
    **dict.fromkeys(("utf8mb3", "utf8mb4", "utf-8mb3", "utf-8mb4", "utf_8"), "utf-8"),
    **dict.fromkeys(("utf-7", "utf7", "unicode-1-1-utf-7"), "utf_7"),
    **dict.fromkeys(
        ("cp936", "ms936", "windows-936", "gb-2312", "gb18030-2000", "euc-cn", "euccn"), "gb18030"
    ),
    **dict.fromkeys(("hz", "hz-gb-2312", "hzgb2312"), "hz"),
    **dict.fromkeys(("cp950", "ms950", "windows-950", "cp951", "big5hkscs"), "big5hkscs"),
    **dict.fromkeys(("cp949", "ms949", "uhc", "windows949", "ks_c_5601"), "cp949"),
    **dict.fromkeys(("iso-2022-kr", "iso2022kr", "csiso2022kr"), "iso2022_kr"),
    **dict.fromkeys(("cp932", "ms932", "windows-932", "shiftjis"), "cp932"),
    **dict.fromkeys(("eucjp", "ujis"), "euc_jp"),
    **dict.fromkeys(("johab", "cp1361"), "johab"),
    **{
        f"{maker}{page}": f"cp{page}"
        for maker in ("cp", "ibm", "")
        for page in (437, 737, 775, 850, 852, 862)
    },
}
_OF_WINDOWS = re.compile(r"(?:x-)?(?:win|windows|cp|ansi)[-_ ]?(125[0-8]|874)")


def codec_of(label: str) -> str | None:
    """The Python codec that a label stands for, in any case of letters; None for an unknown label."""
    label = label.strip().lower()
    of_windows = _OF_WINDOWS.fullmatch(label)
    return (
        codec_of_standard(label)
        or (f"cp{of_windows[1]}" if of_windows is not None else None)
        or _BEYOND_THE_STANDARD.get(label)
    )


def codec_of_standard(label: str) -> str | None:
    """The Python codec that a label of the WHATWG Encoding standard stands for; None for any other."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    mapped = map_encoding_to_html5(label.strip().lower(), fallback_utf8=False)
    if mapped is None:
        return None
    name = str(mapped).lower()
    return _SUPERSETS.get(name, name)
