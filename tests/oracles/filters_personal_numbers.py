"""Numbers of cards, telephones and persons in plain Python, for `filters_personal_data`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.filters.rules import personal_tables as known

MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
GAP = re.compile(rb" \((?=[0-9])|\((?=[0-9])|\)[ -](?=[0-9])|\)(?=[0-9])|[ ./-](?=[0-9])")
LISTS = {"phone": known.PHONE_WORDS.split(), "card": known.CARD_WORDS.split()}
LISTS |= {"version": known.VERSION_WORDS.split(), "number": known.NUMBER_WORDS.split()}
LISTS |= {country: list(words) for country, words in known.ID_WORDS.items()}


@dataclass
class Chain:
    """Groups of digits with the signs behind them; `gaps` has one more where the chain was cut."""

    data: bytes
    at: int
    groups: list[str]
    stops: list[int]
    gaps: str

    @property
    def digits(self) -> str:
        return "".join(self.groups)

    def sizes(self, n: int) -> list[int]:
        return [len(group) for group in self.groups[:n]]

    def ends(self, group: int) -> bool:
        if group < len(self.gaps):
            return self.gaps[group] == " "
        return not re.compile(rb"[\w@]", re.ASCII).match(self.data, self.stops[group])

    def near(self, words: str) -> bool:
        return near(self.data, self.at, words)


def chain_at(data: bytes, at: int) -> Chain | None:
    chain = Chain(data, at, [], [], "")
    while True:
        run = re.compile(rb"[0-9]+").match(data, at)
        assert run
        if len(chain.digits) + len(run[0]) > 32:
            return chain if chain.groups else None
        chain.groups.append(run[0].decode())
        chain.stops.append(run.end())
        gap = GAP.match(data, run.end())
        if not gap:
            return chain
        chain.gaps += gap[0].decode().replace(" (", "(").replace(") ", ")").replace(")-", ")")
        if len(chain.groups) == 10:
            return chain
        at = gap.end()


def near(data: bytes, at: int, words: str) -> bool:
    """Whether a word of a list stands in the 32 bytes before, on the line."""
    low = max(0, at - 32)
    low = max(low, data.rfind(b"\n", low, at) + 1)
    window = bytes(b | 32 if 65 <= b <= 90 else b for b in data[low:at])
    for word in LISTS[words]:
        letters = word.encode()
        for found in re.finditer(b"(?=" + re.escape(letters) + b")", window):
            start, stop = low + found.start(), low + found.start() + len(letters)
            joined = start > 0 and data[start - 1 : start].isalpha() and data[start] < 128
            follows = data[stop - 1 : stop].isalpha() and stop < at and data[stop : stop + 1].isalpha()
            if not joined and not follows:
                return True
    return False


def luhn(digits: str) -> bool:
    doubled = [int(d) if k % 2 == 0 else sum(divmod(2 * int(d), 10)) for k, d in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0


def issued(digits: str) -> bool:
    n, two, three, four = len(digits), int(digits[:2]), int(digits[:3]), int(digits[:4])
    if digits[0] == "4":
        return n in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return n == 16
    if two in (34, 37):
        return n == 15
    if four == 6011 or 644 <= three <= 649 or two in (62, 65) or 3528 <= four <= 3589:
        return 16 <= n <= 19
    if 300 <= three <= 305 or two in (36, 38):
        return n == 14
    return (four in (5018, 5020, 5038, 6304) or 6759 <= four <= 6763) and n in (16, 18, 19)


def card(chain: Chain) -> int:
    if len(chain.digits) < 13:
        return 0
    last = 0
    sign = chain.gaps[:1]
    if len(chain.groups) > 1 and len(chain.groups[0]) == 4 and sign in (" ", "-"):
        sizes = chain.sizes(9)
        if sizes[1] == 6:
            forms = [(4, 6, 5), (4, 6, 4)]
        elif sizes[1] == 4:
            forms = [(4, 4, 4, 4, k) for k in (4, 3, 2, 1)] + [(4, 4, 4, k) for k in (4, 3, 2, 1)]
        else:
            return 0
        fitting = [
            form for form in forms
            if tuple(sizes[: len(form)]) == form
            and chain.gaps[: len(form) - 1] == sign * (len(form) - 1)
            and sum(form) >= 13
            and chain.ends(len(form) - 1)
        ]  # fmt: skip
        if not fitting:
            return 0
        last = len(fitting[0]) - 1
    if not chain.ends(last):
        return 0
    digits = "".join(chain.groups[: last + 1])
    if not 13 <= len(digits) <= 19 or not issued(digits) or not luhn(digits):
        return 0
    if (last == 0 and len(digits) not in (14, 15, 16)) or chain.near("number"):
        return chain.stops[last] if chain.near("card") else 0
    return chain.stops[last]


def ipv4(chain: Chain) -> int:
    parts = chain.groups[:4]
    a, b, c, _ = map(int, parts)
    rest = chain.data[chain.stops[3] :][:2]
    if any(len(part) > 1 and part[0] == "0" for part in parts) or chain.gaps[3:4] == ".":
        return 0
    if re.match(rb"[\w@]|-[A-Za-z]", rest, re.ASCII) or chain.near("version"):
        return 0
    reserved = a in (0, 10, 127) or a >= 224 or (a == 100 and 64 <= b <= 127) or (a, b) == (169, 254)
    reserved |= (a == 172 and 16 <= b <= 31) or (a, b) == (192, 168) or (a, b) in ((198, 18), (198, 19))
    reserved |= (a, b, c) in ((192, 0, 0), (192, 0, 2), (198, 51, 100), (203, 0, 113))
    return 0 if reserved or max(map(int, parts)) < 32 else chain.stops[3]


def calling_codes() -> set[str]:
    return {code.replace("x", digit) for code in known.CALLING_CODES.split() for digit in "0123456789"}


def international(chain: Chain) -> int:
    american, last, total = chain.digits[0] == "1", -1, 0
    for group, digits in enumerate(chain.groups):
        total += len(digits)
        if total > (13 if group else 15):
            break
        if chain.ends(group) and total >= 8 and (not american or total == 11):
            last = group
    codes = calling_codes()
    if last < 0 or not any(chain.digits[:n] in codes for n in (1, 2, 3)):
        return 0
    return 0 if american and chain.digits[4:9] == "55501" else chain.stops[last]


def american(digits: str) -> bool:
    return digits[0] >= "2" and digits[3] >= "2" and digits[3:8] != "55501"


def formatted(chain: Chain) -> int:
    """The last group; -1 for none."""
    n, gaps, digits = len(chain.groups), chain.gaps, chain.digits
    if n < 2:
        return -1
    if chain.sizes(3) == [3, 3, 4] and chain.ends(2):
        joined = gaps[:2] in ("--", "..", ")-", ").", ") ")
        if joined and american(digits):
            return 2
    if chain.sizes(4) == [1, 3, 3, 4] and digits[0] == "1" and chain.ends(3):
        joined = gaps[:3] in ("---", "...") or gaps[0] == "("
        if joined and american(digits[1:]):
            return 3
    if (
        chain.sizes(3) == [3, 4, 4]
        and gaps[:2] in ("--", "  ")
        and re.match("1[3-9]", digits)
        and chain.ends(2)
    ):
        return 2
    if not re.match("0[1-9]", digits):
        return -1
    if chain.sizes(6) == [2] * 5 and gaps[:4] in ("....", "    ") and chain.ends(4):
        steps = {int(b) - int(a) for a, b in zip(chain.groups, chain.groups[1:], strict=False)}
        if steps != {1}:
            return 4
    if not 2 <= len(chain.groups[0]) <= 5 or gaps[0] not in " -/)" or max(digits) < "2":
        return -1
    best = -1
    for last in range(1, min(n, 4)):
        if last > 1 and gaps[last - 1] not in " -":
            break
        total = sum(chain.sizes(last + 1))
        if total > 12 or len(chain.groups[last]) < 3:
            break
        if total >= 10 and (len(chain.groups[0]) >= 3 or last > 1) and chain.ends(last):
            best = last
    return best


def dated(chain: Chain) -> bool:
    if len(chain.groups) < 3:
        return False
    sizes, (x, y, z) = chain.sizes(3), [int(group[:4]) for group in chain.groups[:3]]
    if sizes == [4, 2, 2]:
        return 1800 <= x < 2200 and y <= 12 and z <= 31
    short = sizes[0] <= 2 and sizes[1] <= 2 and sizes[2] == 4
    return short and 1800 <= z < 2200 and x <= 31 and y <= 31 and min(x, y) <= 12


def phone(chain: Chain) -> int:
    last = -1
    if chain.near("phone"):
        total = 0
        for group, digits in enumerate(chain.groups):
            total += len(digits)
            if total > 13 or dated(chain) or chain.gaps[:2] == ".":
                break
            if total >= 7 and chain.ends(group):
                last = group
    else:
        last = formatted(chain)
        if last >= 0 and chain.near("number"):
            return 0
    return 0 if last < 0 else chain.stops[last]


def spanish_letter(number: int) -> str:
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]


def day(month: str, of: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(of) <= MONTH_DAYS[int(month) - 1]


def weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(d) * w for d, w in zip(digits, weights, strict=False))


def chinese(code: str) -> bool:
    provinces = "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65"
    sound = (
        code[:2] in (*provinces.split(), "71", "81", "82", "83")
        and 1900 <= int(code[6:10]) < 2100
        and day(code[10:12], code[12:14])
    )
    check = "10X98765432"[weighted(code, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11]
    return sound and check == code[17]


def brazilian(code: str) -> bool:
    checks = [weighted(code, range(n + 1, 1, -1)) * 10 % 11 % 10 == int(code[n]) for n in (9, 10)]
    return all(checks) and len(set(code[:10])) > 1


def korean(code: str) -> bool:
    check = (11 - weighted(code, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return day(code[2:4], code[4:6]) and code[6] in "12345678" and check == int(code[12])


def french(code: str) -> bool:
    return code[0] in "12" and 1 <= int(code[3:5]) <= 12 and 97 - int(code[:13]) % 97 == int(code[13:])


def dutch(code: str) -> bool:
    return int(code) > 0 and (weighted(code, range(9, 1, -1)) - int(code[8])) % 11 == 0


def polish(code: str) -> bool:
    check = -weighted(code, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10
    return day(str(int(code[2:4]) % 20), code[4:6]) and check == int(code[10])


def german(code: str) -> bool:
    product = 10
    for digit in code[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return code[0] != "0" and (11 - product) % 10 == int(code[10])


def indian(code: str) -> bool:
    """Verhoeff's check, by the rules of the dihedral group: d(j, k) of rotations 0-4 and reflections 5-9."""

    def product(j: int, k: int) -> int:
        if j < 5:
            return (j + k) % 5 if k < 5 else (j + k - 5) % 5 + 5
        return (j - 5 - k) % 5 + 5 if k < 5 else (j - k) % 5

    check = 0
    for place, digit in enumerate(code[::-1]):
        moved = int(digit)
        for _ in range(place % 8):
            moved = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[moved]
        check = product(check, moved)
    return check == 0 and code[0] >= "2"


def swedish(code: str) -> bool:
    return day(code[-8:-6], code[-6:-4]) and luhn(code[-10:])


def social_security(code: str) -> bool:
    return code[:3] not in ("000", "666") and code[0] != "9" and code[3:5] != "00" and code[5:] != "0000"


GROUPED = [
    ("br", (3, 3, 3, 2), "..-", brazilian, False), ("kr", (6, 7), "-", korean, False),
    ("fr", (1, 2, 2, 2, 3, 3, 2), " " * 6, french, False), ("us", (3, 2, 4), "--", social_security, True),
    ("us", (3, 2, 4), "  ", social_security, True), ("in", (4, 4, 4), "--", indian, True),
    ("in", (4, 4, 4), "  ", indian, True), ("de", (2, 3, 3, 3), "   ", german, True),
    ("se", (6, 4), "-", swedish, True), ("se", (8, 4), "-", swedish, True),
]  # fmt: skip


def national_id(chain: Chain, countries: Sequence[str]) -> int:
    size, stop, data = len(chain.groups[0]), chain.stops[0], chain.data
    code = chain.groups[0]
    if size == 17 and "cn" in countries and (x := re.compile(rb"[xX]").match(data, stop)):
        boundary = not re.compile(rb"[\w@]", re.ASCII).match(data, x.end())
        return x.end() if boundary and chinese(code + "X") else 0
    lettered = re.compile(rb"-?([A-Z])(?![\w@])", re.ASCII).match(data, stop)
    if size == 8 and "es" in countries and lettered:
        right = spanish_letter(int(code)) == lettered[1].decode()
        return lettered.end() if right and chain.near("es") else 0
    if chain.ends(0):
        for country, length, right, told in (
            ("cn", 18, chinese, False), ("fr", 15, french, False), ("br", 11, brazilian, True),
            ("pl", 11, polish, True), ("de", 11, german, True), ("in", 12, indian, True),
            ("nl", 9, dutch, True),
        ):  # fmt: skip
            if size == length and country in countries and right(code) and (not told or chain.near(country)):
                return stop
    for country, sizes, gaps, right, told in GROUPED:
        n = len(sizes)
        if (
            tuple(chain.sizes(n)) == sizes
            and chain.gaps[: n - 1] == gaps
            and chain.ends(n - 1)
            and (
                country in countries
                and right("".join(chain.groups[:n]))
                and (not told or chain.near(country))
            )
        ):
            return chain.stops[n - 1]
    return 0
