"""Normal forms of URLs: equal for addresses that lead to the same page.

The parts are those of RFC 3986, appendix B, whose expression matches any text. What is done to them, and in
which order, is in `normal_form`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import quote

# Parameters by which products follow visitors from page to page, as their documentation names them: those of
# Google Analytics, Ads and Merchant Center, Facebook, Instagram, Microsoft, Yandex, X, TikTok, LinkedIn,
# Mailchimp, HubSpot, Marketo, Vero, Omeda and Adobe; and names of sessions of Java, PHP and ASP.
TRACKING = (
    *("utm_*", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "gad_source", "gad_campaignid", "srsltid"),
    *("_ga", "_gl", "fbclid", "igshid", "igsh", "jsessionid", "phpsessid", "aspsessionid*"),
    *("msclkid", "yclid", "_openstat", "twclid", "ttclid", "li_fat_id", "mc_cid", "mc_eid", "hsctatracking"),
    *("_hsenc", "_hsmi", "__hssc", "__hstc", "__hsfp", "mkt_tok", "vero_id", "vero_conv", "oly_anon_id"),
    *("oly_enc_id", "s_cid"),
)
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_PORTS = {"http": "80", "https": "443"}
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# All that a URL may hold besides unreserved characters; others are escaped.
_SAFE = "!#$%&'()*+,/:;=?@[]"
_OF_UNICODE = re.compile(r"(?:%[89A-Fa-f][0-9A-Fa-f])+")  # escapes of characters beyond ASCII
_SPECIAL = frozenset("!#$%&'()*+,./:;=?@[]\\ ")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_PATH_PARAMETER = re.compile(r";([^=;/]*)(?:=[^;/]*)?")
_LONGEST_LABEL = 63  # characters (RFC 1035, 2.3.4)


class UrlRules(NamedTuple):
    """What two URLs may differ in: see the options of the stage `url`."""

    scheme: bool
    host_case: bool
    host_forms: bool
    www: bool
    default_port: bool
    path_dots: bool
    trailing_slash: bool
    escapes: bool
    fragment: bool
    query_order: bool
    without: tuple[str, ...]


def normal_form(url: str, rules: UrlRules) -> str:
    """The normal form of an http or https URL; any other text, without white space at its ends, is its
    own.
    """
    url = url.strip()
    match = _PARTS.fullmatch(url)
    assert match is not None
    scheme, host, path, query, fragment = match.groups()
    if scheme is None or host is None or scheme.lower() not in _PORTS:
        return url
    scheme = scheme.lower()
    if rules.escapes:
        host, path, query, fragment = (part and _escaped(part) for part in (host, path, query, fragment))
    host = _host(host, scheme, rules)
    if rules.path_dots:
        path = _without_dots(path)
    if rules.without and ";" in path:
        path = _PATH_PARAMETER.sub(lambda one: "" if _is_named(one[1], rules.without) else one[0], path)
    if rules.trailing_slash:
        path = path.rstrip("/")
    query = _query(query or "", rules)
    start = "" if rules.scheme else f"{scheme}:"
    end = "" if rules.fragment and not (fragment or "").startswith(("!", "/")) else f"#{fragment or ''}"
    return f"{start}//{host}{path}{'?' if query else ''}{query}{end if end != '#' else ''}"


def _host(host: str, scheme: str, rules: UrlRules) -> str:
    user, at, host = host.rpartition("@")
    name, colon, port = host.rpartition(":")
    if (
        not colon
        or (":" in name and not name.endswith("]"))
        or not ((port.isascii() and port.isdigit()) or not port)
    ):
        name, colon, port = host, "", ""  # no port, or no host of RFC 3986
    if user in ("", ":"):
        user = at = ""
    if rules.host_forms:
        name = host_name(name, small=rules.host_case)
    elif rules.host_case:
        name = name.lower()
    if rules.www:
        name = re.sub(r"^(?:www\.)+(?=[^.]+\.)", "", name, flags=re.IGNORECASE)
    if rules.default_port:
        port = port.lstrip("0") or port[-1:]
        if port in ("", _PORTS[scheme]):
            colon = port = ""
    return f"{user}{at}{name}{colon}{port}"


def host_name(name: str, *, small: bool) -> str:
    """A host name in Unicode without dots at its end, in `small` letters; an address of IPv6 in its short
    form (RFC 5952).

    Labels of Punycode (`xn--`, RFC 3492) are decoded, escapes of UTF-8 too; compatibility characters are
    replaced (NFKC). A label that this would change into something other than a label stays as it is.
    """
    if name.startswith("[") and name.endswith("]"):
        try:
            return f"[{IPv6Address(name[1:-1]).compressed}]"
        except ValueError:
            return name
    if set(":[]") & set(name):  # no name
        return name.lower() if small else name
    if "%" in name:
        name = _OF_UNICODE.sub(_unescaped, name)
    if small:
        name = name.lower()
    if not name.isascii() or "xn--" in name.lower():
        name = ".".join(_label(label, small) for label in _DOTS.split(name))
    return name.rstrip(".")


def _unescaped(escapes: re.Match[str]) -> str:
    try:
        return bytes.fromhex(escapes[0].replace("%", "")).decode()
    except UnicodeDecodeError:
        return escapes[0]


def _label(label: str, small: bool) -> str:
    """The normal form of a label of a host name; the label itself where it has none."""
    found = _compatible(label, small)
    if _SPECIAL & (set(found) - set(label)):
        return label
    if found[:4].lower() != "xn--" or not found.isascii() or len(found) > _LONGEST_LABEL:
        return found
    try:
        decoded = found[4:].encode().decode("punycode")
    except (ValueError, OverflowError):  # no Punycode, or a code point beyond those of Unicode
        return found
    return found if decoded.isascii() or _compatible(decoded, small) != decoded else decoded


def _compatible(label: str, small: bool) -> str:
    found = unicodedata.normalize("NFKC", label)
    return unicodedata.normalize("NFKC", found.lower()) if small else found


def _escaped(part: str) -> str:
    """Escapes of unreserved characters undone, the others in capitals, and what must be escaped is, a percent
    sign that begins no escape too (RFC 3986, 2.4 and 6.2.2).
    """

    def one(match: re.Match[str]) -> str:
        character = chr(int(match[0][1:], 16))
        return character if character in _UNRESERVED else match[0].upper()

    return quote(_ESCAPE.sub(one, _STRAY.sub("%25", part)), safe=_SAFE, errors="surrogatepass")


def _without_dots(path: str) -> str:
    """`/a/./b/../c` -> `/a/c` (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if len(kept) > 1:
                kept.pop()
        elif part != ".":
            kept.append(part)
    if parts[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)


def _query(query: str, rules: UrlRules) -> str:
    parameters = [one for one in query.split("&") if one]
    if rules.without:
        parameters = [one for one in parameters if not _is_named(one.partition("=")[0], rules.without)]
    if rules.query_order:
        parameters.sort(key=lambda one: one.partition("=")[0])
    return "&".join(parameters)


def _is_named(name: str, names: Sequence[str]) -> bool:
    """Whether a parameter is among `names`, in which `*` at the end stands for anything."""
    name = name.lower()
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in names)
