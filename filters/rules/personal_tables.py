"""What `personal_data` knows of the world: kinds, words that stand before numbers, domains, countries, keys.

Sources: top-level domains in use by IANA's list (all of two letters that are assigned to countries, and the
generic ones that most addresses have); lengths of IBANs by the SWIFT registry; country calling codes by ITU-T
E.164; forms of keys as their issuers document them.
"""

from __future__ import annotations

KINDS = ("email", "ip", "phone", "card", "iban", "national_id", "key")
EMAIL, IP, PHONE, CARD, IBAN, NATIONAL_ID, KEY = range(len(KINDS))
PLACEHOLDERS = {kind: f"<{kind}>" for kind in KINDS}

COUNTRY_DOMAINS = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw "
    "by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et "
    "eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie "
    "il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv "
    "ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr "
    "nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl "
    "sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz "
    "va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
GENERIC_DOMAINS = (
    "com org net edu gov mil int info biz name pro aero coop museum jobs mobi travel tel cat asia post "
    "app dev xyz online site shop store tech club top blog cloud email live life world space website "
    "agency solutions group company digital media news today center network systems services software "
    "academy work studio design berlin hamburg koeln wien bayern paris london nyc tokyo amsterdam "
    "brussels scot wales swiss page link click guru zone team one fun art music health care clinic law "
    "legal finance bank capital ventures consulting education school university foundation "
    "international community church house land global plus social video games energy earth eco green "
    "coffee restaurant wtf wiki ninja rocks science technology press"
)
RESERVED_DOMAINS = ("example.com", "example.org", "example.net", "example.edu", "domain.com", "localhost.com")
"""Domains, with all below them, that documentation uses (RFC 2606, section 3, and common practice)."""

# Words before a number, in lower case; a letter of ASCII beside one makes it another word.
PHONE_WORDS = (
    "tel telephone telefon telefono teléfono telefone téléphone tél phone phones fax mobile mobil móvil "
    "mob cell cellphone whatsapp hotline 电话 手机 联系方式 传真 電話 携帯 "
    "тел телефон 전화"
)
CARD_WORDS = "card cards visa mastercard amex credit debit carte karte tarjeta 信用卡 卡号"
VERSION_WORDS = (
    "version versions ver v release build rev revision firmware update section sec chapter clause § oid "
    "driver kernel 版本"
)
NUMBER_WORDS = (
    "order orders invoice isbn issn ean upc gtin sku part model serial tracking ref reference doi case "
    "ticket patent id item article account acct receipt policy contract parcel lot batch code imei "
    "bestellnummer artikelnummer commande pedido ordine 订单 订单号 编号 单号"
)
"""Words before numbers that are neither of a telephone nor of a card."""
ID_WORDS = {
    "us": ("ssn", "social security"),
    "es": ("dni", "nif", "nie"),
    "nl": ("bsn", "burgerservicenummer", "sofinummer"),
    "pl": ("pesel",),
    "se": ("personnummer", "samordningsnummer", "personal identity number"),
    "in": ("aadhaar", "aadhar", "uidai"),
    "de": ("steuer-id", "steueridentifikationsnummer", "steuer-identifikationsnummer", "idnr"),
    "br": ("cpf",),
}
"""By country, words without which its number is not taken for one: its check alone is too weak."""

# The lists of words by their numbers in kernels.
PHONE_LIST, CARD_LIST, VERSION_LIST, NUMBER_LIST = range(4)
ID_LISTS = {country: 4 + place for place, country in enumerate(ID_WORDS)}
WORD_LISTS: tuple[tuple[str, ...], ...] = (
    tuple(PHONE_WORDS.split()),
    tuple(CARD_WORDS.split()),
    tuple(VERSION_WORDS.split()),
    tuple(NUMBER_WORDS.split()),
    *ID_WORDS.values(),
)

COUNTRIES = ("br", "cn", "de", "es", "fr", "in", "it", "kr", "nl", "pl", "se", "us")
"""Countries whose numbers are known; their bits, in this order, say which of them are looked for."""

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22,
    "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25,
    "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip

CALLING_CODES = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 "
    "65 66 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 22x 23x 24x 25x 26x 290 291 297 298 299 "
    "35x 37x 380 381 382 383 385 386 387 389 420 421 423 50x 59x 670 672 673 674 675 676 677 678 679 "
    "68x 690 691 692 800 850 852 853 855 856 870 880 886 960 961 962 963 964 965 966 967 968 970 971 "
    "972 973 974 975 976 977 992 993 994 995 996 998"
)
"""`x` stands for any digit."""

# Keys with a known beginning: (beginning, characters that follow, fewest, most, what else holds). Characters:
# `A` A-Z0-9, `w` letters and digits, `_` also the underscore, `-` also underscore and hyphen, `h` hexadecimal
# in lower case. Else: `random` asks for the least entropy of keys, `jwt` for two more parts after a dot.
KEY_FORMS: tuple[tuple[str, str, int, int, str], ...] = (
    ("AKIA", "A", 16, 16, ""),
    ("ASIA", "A", 16, 16, ""),
    ("AROA", "A", 16, 16, ""),
    ("AIDA", "A", 16, 16, ""),
    ("AIza", "-", 35, 35, ""),
    ("SG.", "-", 22, 22, "sendgrid"),
    ("dop_v1_", "h", 64, 64, ""),
    ("eyJ", "-", 8, 4096, "jwt"),
    ("gho_", "w", 36, 255, ""),
    ("ghp_", "w", 36, 255, ""),
    ("ghr_", "w", 36, 255, ""),
    ("ghs_", "w", 36, 255, ""),
    ("ghu_", "w", 36, 255, ""),
    ("github_pat_", "_", 60, 255, ""),
    ("glpat-", "-", 20, 64, ""),
    ("hf_", "w", 34, 34, ""),
    ("npm_", "w", 36, 36, ""),
    ("pypi-AgEI", "-", 50, 512, ""),
    ("rk_live_", "w", 16, 255, ""),
    ("rk_test_", "w", 16, 255, ""),
    ("shpat_", "h", 32, 32, ""),
    ("sk-", "-", 20, 255, "random"),
    ("sk_live_", "w", 16, 255, ""),
    ("sk_test_", "w", 16, 255, ""),
    ("xapp-", "-", 20, 255, "random"),
    ("xoxa-", "-", 20, 255, "random"),
    ("xoxb-", "-", 20, 255, "random"),
    ("xoxp-", "-", 20, 255, "random"),
    ("xoxr-", "-", 20, 255, "random"),
    ("xoxs-", "-", 20, 255, "random"),
)
_LOCKS = [
    "api",
    "access",
    "secret",
    "private",
    "auth",
    "encryption",
    "signing",
    "master",
    "account",
    "storage",
    "client",
    "app",
]
KEY_NAMES = (
    *(f"{lock}{join}key" for lock in _LOCKS for join in ("", "_", "-")),
    *["password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "credentials"],
)
"""Ends of the names, in lower case, that stand before a secret."""
LEAST_KEY, MOST_KEY = 16, 512  # characters of a value that may be a secret
