"""Personal data in plain Python: regular expressions over bytes, one place after the other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import log2

from corpusmill.filters.rules import personal_tables as known
from tests.oracles.filters_personal_numbers import (
    Chain,
    card,
    chain_at,
    international,
    ipv4,
    near,
    phone,
    spanish_letter,
)
from tests.oracles.filters_personal_numbers import national_id as numbered_id

Span = tuple[str, int, int]

DOMAINS = {*known.COUNTRY_DOMAINS.split(), *known.GENERIC_DOMAINS.split()}
LOCAL = re.compile(rb"[\w.%+'-]+$", re.ASCII)
LABEL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
NAMES = re.compile(f"(?:{'|'.join(known.KEY_NAMES)})$", re.IGNORECASE | re.ASCII)
GIVEN = re.compile(rb"[\"'`\]]{0,2}[ \t]{0,3}[=:][=>]?[ \t]{0,3}[\"'`]?([\w+/~-]{16,})(={0,2})", re.ASCII)
PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,32}?PRIVATE KEY(?: BLOCK)?-----")
PEM_END = re.compile(rb"-----END [^-\n]*(?:-----)?")
ALPHABETS = {"A": "A-Z0-9", "w": "A-Za-z0-9", "_": r"\w", "-": r"\w-", "h": "0-9a-f"}


def spans(text: str, countries: Sequence[str] = known.COUNTRIES, least: float = 3.2) -> list[Span]:
    """Kind, first byte and end of what is found, in order."""
    data, found = text.encode(), []
    at = free = 0
    while at < len(data):
        one: Span | None = None
        after = at + 1
        if word := re.compile(rb"\w+", re.ASCII).match(data, at):
            after = word.end()
            one = (
                number(data, at, countries) if word[0][:1].isdigit() else lettered(data, at, countries, least)
            )
            one = one or secret(data, after, least)
        elif data[at : at + 1] == b"@":
            one = email(data, at, free)
        elif data[at : at + 2] == b"--" and data[max(0, at - 1) : at] != b"-":
            one = private_key(data, at)
            after = at + len(re.compile(rb"-+").match(data, at)[0])  # type: ignore[index]
        at = after
        if one is not None:
            found.append(one)
            at = free = one[2]
    return found


def email(data: bytes, at: int, free: int) -> Span | None:
    local = LOCAL.search(data[max(free, at - 65) : at])
    if not local or len(local[0]) > 64:
        return None
    name = re.sub(rb"^[^A-Za-z0-9]+", b"", local[0])
    if not name or name.endswith(b".") or b".." in name or name == b"git":
        return None
    labels, place = [], at + 1
    while True:
        label = LABEL.match(data, place)
        if not label:
            return None
        labels.append(label[0].decode().lower())
        place = label.end()
        if place - at > 253 or re.compile(rb"[A-Za-z0-9-]").match(data, place):
            return None
        if not re.compile(rb"\.[A-Za-z0-9]").match(data, place):
            break
        place += 1
    if len(labels) < 2 or re.compile(rb"[\w@]", re.ASCII).match(data, place) or labels[-1] not in DOMAINS:
        return None
    if ".".join(labels[-2:]) in known.RESERVED_DOMAINS:
        return None
    return "email", at - len(name), place


def number(data: bytes, at: int, countries: Sequence[str]) -> Span | None:
    run = re.compile(rb"[0-9]+").match(data, at)
    assert run
    size, stop = len(run[0]), run.end()
    before, after = data[max(0, at - 1) : at], data[stop : stop + 1]
    if size <= 4 and run[0][:1] in b"23" and before not in (b"+", b":") and (end := ipv6(data, at)):
        return "ip", at, end
    if re.match(rb"\w", after, re.ASCII) and size not in (8, 17):
        return None
    if size < 7 and not re.compile(rb"[ ()./-](?=[0-9( -])").match(data, stop):
        return None
    chain = chain_at(data, at)
    if before == b"+":
        if re.search(rb"[\w+)]$", data[: at - 1], re.ASCII) or chain is None or len(chain.digits) < 8:
            return None
        end = international(chain)
        return ("phone", at - 1, end) if end else None
    if before in (b"#", b"$") or re.search(rb"\w[./,-]$", data[:at][-2:], re.ASCII) or chain is None:
        return None
    if (
        len(chain.groups) >= 4
        and chain.gaps[:3] == "..."
        and all(len(group) <= 3 and int(group) <= 255 for group in chain.groups[:4])
    ):
        end = ipv4(chain)
        return ("ip", at, end) if end else None
    if len(chain.digits) < 7:
        return None
    if end := card(chain):
        return "card", at, end
    if len(chain.digits) >= 8 and (end := numbered_id(chain, countries)):
        return "national_id", at, end
    if end := phone(chain):
        return "phone", at - (before == b"(" and chain.gaps[:1] == ")"), end
    return None


def ipv6(data: bytes, at: int) -> int:
    """Where a global unicast address ends; 0 for none."""
    group = "[0-9A-Fa-f]{1,4}"
    found = re.compile(rb"[23][0-9A-Fa-f]{3}(?:::?[0-9A-Fa-f]{1,4})*(?:::)?").match(data, at)
    if not found:
        return 0
    text = found[0].decode().lower()
    rest = data[found.end() : found.end() + 2]
    if re.match(rb"\w|::", rest, re.ASCII) or text.startswith(("2001:db8:", "2001:0db8:")):
        return 0
    groups = re.findall(group, text)
    if "::" in text:
        return found.end() if text.count("::") == 1 and 3 <= len(groups) < 8 else 0
    return found.end() if len(groups) == 8 else 0


def lettered(data: bytes, at: int, countries: Sequence[str], least: float) -> Span | None:
    if end := known_key(data, at, least):
        return "key", at, end
    if end := iban(data, at):
        return "iban", at, end
    boundary = r"(?![\w@])"
    tax = re.compile(
        rb"[A-Z]{6}[0-9]{2}[ABCDEHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]" + boundary.encode(), re.ASCII
    )
    if "it" in countries and (code := tax.match(data, at)) and italian(code[0].decode()):
        return "national_id", at, code.end()
    nie = re.compile(rb"([XYZ])-?([0-9]{7})-?([A-Z])" + boundary.encode(), re.ASCII).match(data, at)
    if "es" in countries and nie and near(data, at, "es"):
        number = int(str("XYZ".index(nie[1].decode())) + nie[2].decode())
        if spanish_letter(number) == nie[3].decode():
            return "national_id", at, nie.end()
    return None


def italian(code: str) -> bool:
    odd = dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True))
    values = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    odd |= dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", values, strict=True))
    even = {**{c: int(c) for c in "0123456789"}, **{chr(65 + k): k for k in range(26)}}
    total = sum(odd[c] if k % 2 == 0 else even[c] for k, c in enumerate(code[:15]))
    day = int(code[9:11])
    return chr(65 + total % 26) == code[15] and (1 <= day <= 31 or 41 <= day <= 71)


def iban(data: bytes, at: int) -> int:
    country = data[at : at + 2].decode("latin-1")
    size = known.IBAN_LENGTHS.get(country)
    if size is None:
        return 0
    plain = rb"[A-Z0-9]{%d}" % size
    full, rest = divmod(size, 4)
    spaced = b" ".join([rb"[A-Z0-9]{4}"] * full + ([rb"[A-Z0-9]{%d}" % rest] if rest else []))
    form = spaced if data[at + 4 : at + 5] == b" " else plain
    found = re.compile(form + rb"(?![\w@])", re.ASCII).match(data, at)
    if not found or not data[at + 2 : at + 4].isdigit():
        return 0
    code = found[0].replace(b" ", b"").decode()
    value = int("".join(str(int(c, 36)) for c in code[4:] + code[:4]))
    return found.end() if value % 97 == 1 else 0


def random(value: bytes, least: float) -> bool:
    text, size = value.decode(), len(value)
    if not re.search("[0-9]", text) or not re.search("[A-Za-z]", text):
        return False
    changes = re.findall("(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])|(?<=[a-z])(?=[A-Z])", text)
    entropy = log2(size) - sum(n * log2(n) for n in Counter(text).values()) / size
    return 6 * len(changes) >= size and entropy >= least - 1e-12


def known_key(data: bytes, at: int, least: float) -> int:
    if data[max(0, at - 1) : at] == b"-":
        return 0
    for head, letters, fewest, most, rule in sorted(known.KEY_FORMS):
        form = f"{re.escape(head)}([{ALPHABETS[letters]}]{{{fewest},{most}}})(?![{ALPHABETS[letters]}])"
        if rule == "jwt":
            form += r"\.ey[\w-]{6,65534}(?![\w-])\.[\w-]{8,4096}(?![\w-])"
        if rule == "sendgrid":
            form += r"\.[\w-]{43}(?![\w-])"
        key = re.compile(form.encode() + rb"(?!\w)", re.ASCII).match(data, at)
        if key and not key[0].endswith(b"EXAMPLE") and (rule != "random" or random(key[1], least)):
            return key.end()
    return 0


def secret(data: bytes, at: int, least: float) -> Span | None:
    given = GIVEN.match(data, at)
    if not given or len(given[1]) > 512 or not NAMES.search(data[:at].decode("latin-1")):
        return None
    if re.compile(rb"[\w(\[]|\.\w", re.ASCII).match(data, given.end()) or not random(given[1], least):
        return None
    return "key", given.start(1), given.end()


def private_key(data: bytes, at: int) -> Span | None:
    begun = PEM.match(data, at)
    if not begun:
        return None
    dashes = data.find(b"-----", begun.end())
    if dashes < 0:
        return "key", at, len(data)
    ended = PEM_END.match(data, dashes)
    return "key", at, ended.end() if ended else dashes


__all__ = ["Chain", "spans"]
