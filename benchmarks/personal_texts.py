"""Texts with planted personal data and with what only looks like it: (text, [(kind, planted value)]).

Made by rules of its own: values follow the issuers' definitions (a card number is completed to its check, an
IBAN to its remainder), sentences are written around them, and two hard negatives stand for every value.
Seeded: the same number gives the same texts.
"""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

Planted = tuple[str, list[tuple[str, str]]]
Make = Callable[[random.Random], str]

NAMES = "anna jonas li.wei m.rossi sofia-p kofi.a priya tomasz elif diego_r yuki olga".split()  # noqa: SIM905
HOSTS = "gmail.com web.de mail.ru qq.com uni-bonn.de proton.me corp.co.uk orange.fr nask.pl ibm.com".split()  # noqa: SIM905
WORDS = (
    "the meeting was moved because our supplier changed the price list again and nobody told the team that "
    "values in this table are given without tax so please check them before you send the report to anyone"
)


def digits(rng: random.Random, n: int, first: str = "0123456789") -> str:
    return rng.choice(first) + "".join(rng.choices(string.digits, k=n - 1))


def luhn_completed(body: str) -> str:
    return next(body + d for d in string.digits if _luhn_sum(body + d) % 10 == 0)


def _luhn_sum(number: str) -> int:
    return sum(sum(divmod(int(d) * (1 + k % 2), 10)) for k, d in enumerate(reversed(number)))


def spaced(text: str, sign: str = " ", every: int = 4) -> str:
    return sign.join(text[k : k + every] for k in range(0, len(text), every))


def card(rng: random.Random) -> str:
    head, n = rng.choice(
        [("4", 16), ("51", 16), ("55", 16), ("2345", 16), ("37", 15), ("6011", 16), ("3530", 16)]
    )
    number = luhn_completed(head + digits(rng, n - 1 - len(head)))
    if n == 15:
        return rng.choice([number, f"{number[:4]} {number[4:10]} {number[10:]}"])
    return rng.choice([number, spaced(number), spaced(number, "-")])


def iban(rng: random.Random) -> str:
    country, size = rng.choice(
        [("DE", 22), ("FR", 27), ("GB", 22), ("NL", 18), ("PL", 28), ("ES", 24), ("CH", 21)]
    )
    letters = {"GB": 4, "NL": 4}.get(country, 0)
    body = "".join(rng.choices(string.ascii_uppercase, k=letters)) + digits(rng, size - 4 - letters)
    number = int("".join(str(int(c, 36)) for c in f"{body}{country}00"))
    code = f"{country}{98 - number % 97:02d}{body}"
    return rng.choice([code, spaced(code)])


def email(rng: random.Random) -> str:
    name = rng.choice(NAMES) + rng.choice(["", str(rng.randint(1, 99)), "+list"])
    host = rng.choice(HOSTS)
    return rng.choice([f"{name}@{host}", f"{name.title()}@mail.{host}", f"{name}@{host.upper()}"])


def ip(rng: random.Random) -> str:
    if rng.random() < 0.3:
        groups = [f"{rng.randrange(0x2003, 0x2C00):x}", *(f"{rng.randrange(1, 65536):x}" for _ in range(7))]
        return rng.choice([":".join(groups), ":".join(groups[:4]) + "::" + groups[7]])
    first = rng.choice([23, 45, 81, 93, 141, 176, 188, 212])
    return ".".join(map(str, [first, rng.randint(20, 255), rng.randint(0, 255), rng.randint(1, 254)]))


def phone(rng: random.Random) -> str:
    area, office, line = digits(rng, 3, "23456789"), digits(rng, 3, "23467"), digits(rng, 4)
    mobile = rng.choice("157") + digits(rng, 1)
    forms = [
        f"({area}) {office}-{line}", f"{area}-{office}-{line}", f"+1 {area} {office} {line}",
        f"+49 1{mobile} {digits(rng, 7)}", f"+86 13{digits(rng, 9)}",
        f"+44 20 7{digits(rng, 3)} {digits(rng, 4)}",
        f"0{rng.choice('1234567')} " + spaced(digits(rng, 8, "2468"), every=2),
        f"138-{digits(rng, 4)}-{digits(rng, 4)}",
        f"030 {digits(rng, 8, '12345')}", f"+33 6 {spaced(digits(rng, 8), every=2)}",
        f"0171/{digits(rng, 7)}",
    ]  # fmt: skip
    return rng.choice(forms)


def national_id(rng: random.Random) -> str:
    born = f"{rng.randint(1930, 2009)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    kind = rng.randrange(5)
    if kind == 0:
        body = rng.choice(["110105", "310115", "440305", "510104"]) + born + digits(rng, 3)
        weights = [2 ** (17 - k) % 11 for k in range(17)]
        return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]
    if kind == 1:
        body = digits(rng, 9)
        for n in (10, 11):
            rest = sum(int(d) * (n - k) for k, d in enumerate(body)) % 11
            body += str(0 if rest < 2 else 11 - rest)
        return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"
    if kind == 2:
        body = rng.choice("12") + born[2:6] + digits(rng, 8)
        return f"{body}{97 - int(body) % 97:02d}"
    if kind == 3:
        number = rng.randint(10_000_000, 99_999_999)
        return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"
    return f"{rng.randint(1, 665):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


def key(rng: random.Random) -> str:
    def drawn(n: int, letters: str = string.ascii_letters + string.digits) -> str:
        return "".join(rng.choices(letters, k=n))

    hexadecimal = drawn(32, "0123456789abcdef")
    return rng.choice(
        [
            "AKIA" + drawn(16, string.ascii_uppercase + string.digits), "ghp_" + drawn(36),
            f"xoxb-{digits(rng, 12, '123')}-{drawn(24)}", "AIza" + drawn(35), "sk_live_" + drawn(24),
            f"eyJ{drawn(30)}.eyJ{drawn(60)}.{drawn(43)}", f"api_key={drawn(32)}",
            f'"client_secret": "{hexadecimal}"',
            f"DB_PASSWORD='{drawn(24)}'", f"auth_token: {drawn(40)}",
            f"-----BEGIN RSA PRIVATE KEY-----\n{drawn(64)}\n{drawn(40)}==\n-----END RSA PRIVATE KEY-----",
        ]
    )  # fmt: skip


MAKERS: dict[str, Make] = {
    "email": email, "ip": ip, "phone": phone, "card": card, "iban": iban, "national_id": national_id,
    "key": key,
}  # fmt: skip
BEFORE = {
    "email": ["write to", "contact", "<", "mailto:", "邮箱"], "ip": ["from", "host", "client", "[", "banned"],
    "phone": ["call", "Tel.", "phone:", "reach us on", "电话："],
    "card": ["card", "paid with", "VISA", "number"],
    "iban": ["IBAN", "transfer to", "account of"],
    "national_id": ["DNI", "SSN", "ID-card", "social security no."],
    "key": ["config:", "export", "use", "#"],
}  # fmt: skip


def isbn(rng: random.Random) -> str:
    return f"978-{digits(rng, 1)}-{digits(rng, 2)}-{digits(rng, 6)}-{digits(rng, 1)}"


def broken_card(rng: random.Random) -> str:
    number = luhn_completed("4" + digits(rng, 14))
    return number[:-1] + str((int(number[-1]) + rng.randint(1, 9)) % 10)


NEGATIVES: list[Make] = [
    lambda r: f"version {r.randint(0, 9)}.{r.randint(0, 20)}.{r.randint(0, 20)}.{r.randint(0, 250)}",
    lambda r: f"Chrome/{r.randint(60, 120)}.0.{r.randint(10, 200)}.{r.randint(1, 250)}",
    lambda r: f"v{r.randint(0, 9)}.{r.randint(0, 99)}.{r.randint(0, 99)}",
    lambda r: f"ISBN {isbn(r)}",
    lambda r: f"ISBN-13: {isbn(r).replace('-', '')}",
    lambda r: f"sha1 {uuid.UUID(int=r.getrandbits(128)).hex}{digits(r, 8)}",
    lambda r: f"commit {uuid.UUID(int=r.getrandbits(128)).hex}",
    lambda r: f"id {uuid.UUID(int=r.getrandbits(128))}",
    lambda r: f"{r.choice(NAMES)}@example.{r.choice(['com', 'org', 'net'])}",
    lambda r: f"{r.choice(NAMES)}@mail.test",
    lambda r: f"icon@{r.randint(2, 3)}x.png",
    lambda r: f"y = A@B.T + x@self.weight  # {r.randint(1, 99)}",
    lambda r: f"{r.choice(['192.0.2', '198.51.100', '203.0.113'])}.{r.randint(1, 254)}",
    lambda r: f"{r.choice(['10.0', '192.168', '172.20', '127.0'])}.{r.randint(0, 255)}.{r.randint(1, 254)}",
    lambda r: f"2001:db8::{r.getrandbits(16):x}",
    lambda r: f"std::vector<{r.choice(['int', 'face::id'])}> a::bad::dead",
    lambda r: (
        f"{r.randint(1990, 2030)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} {r.randint(0, 23):02d}:30:15"
    ),
    lambda r: f"{r.randint(1, 28):02d}.{r.randint(1, 12):02d}.{r.randint(1990, 2030)}",
    lambda r: f"{r.uniform(-90, 90):.6f}, {r.uniform(-180, 180):.6f}",
    lambda r: f"order {digits(r, 10, '123456789')}",
    lambda r: f"Order #{digits(r, 3)}-{digits(r, 7)}-{digits(r, 7)}",
    lambda r: f"invoice no. {digits(r, 3)}-{digits(r, 3)}-{digits(r, 4)}",
    lambda r: f"tracking {digits(r, 12)}",
    lambda r: f"number {broken_card(r)}",
    lambda r: f"DE{digits(r, 2)}{digits(r, 17)}",
    lambda r: f"$ {r.randint(1, 999)},{digits(r, 3)},{digits(r, 3)}.{digits(r, 2)}",
    lambda r: f"0.{digits(r, 16)}",
    lambda r: f"timestamp {r.randint(10**9, 2 * 10**9)}",
    lambda r: f"MAC {':'.join(f'{r.getrandbits(8):02x}' for _ in range(6))}",
    lambda r: f"token = get_token_{r.randint(1, 9)}(user)",
    lambda r: f"password: {r.choice(['changeme', '<your-password>', '********', '${DB_PASSWORD}'])}",
    lambda r: f"api_key = os.environ['API_KEY_{r.randint(1, 9)}']",
    lambda r: "AKIAIOSFODNN7EXAMPLE",
    lambda r: (
        f"pages {r.randint(1, 400)}-{r.randint(401, 900)}, section {r.randint(1, 9)}.{r.randint(1, 9)}.2.1"
    ),
    lambda r: f"EAN {digits(r, 13)}",
    lambda r: f"https://shop.org/item/{digits(r, 16)}/{digits(r, 10)}",
    lambda r: " ".join(f"{k:02d}" for k in range(r.randint(1, 3), 9)),
]


def made(seed: int, count: int) -> list[Planted]:
    """`count` texts of about 120 words with one to four planted values and two negatives for each."""
    rng = random.Random(seed)
    texts: list[Planted] = []
    for _ in range(count):
        parts: list[str] = []
        planted = []
        for kind in rng.choices(list(MAKERS), k=rng.randint(1, 4)):
            value = MAKERS[kind](rng)
            before = rng.choice(BEFORE[kind])
            if kind == "national_id":  # forms whose check is weak need their name before them
                before = "DNI" if value[-1].isalpha() and len(value) == 9 else before
                before = "SSN" if value.count("-") == 2 else before
            parts += [
                *rng.choices(WORDS.split(), k=rng.randint(8, 30)),
                f"{before} {value}",
                rng.choice([".", ",", ""]),
            ]
            planted.append((kind, value))
            for negative in rng.choices(NEGATIVES, k=2):
                parts += [*rng.choices(WORDS.split(), k=rng.randint(8, 16)), f"({negative(rng)})"]
        texts.append((" ".join(parts), planted))
    return texts


def overlaps(text: str, planted: list[tuple[str, str]]) -> list[tuple[str, int, int]]:
    """Kind, first byte and end of each planted value, in order of planting."""
    found, at = [], 0
    data = text.encode()
    for kind, value in planted:
        start = data.index(value.encode(), at)
        at = start + len(value.encode())
        found.append((kind, start, at))
    return found
