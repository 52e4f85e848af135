"""Addresses: of mail, and of machines on a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from pymemos.cube.privacy import Found, Kind

_LOCAL, _DOMAIN = 64, 255  # characters at most on either side of the @
_BEFORE_AT = re.compile(r"""(?:"[^"\n]{1,62}"|[^\W_](?:[\w.+%'&/=?^`{|}~!#$*-]*[\w+%-])?|[_+][\w.+-]*\w)$""")
_AFTER_AT = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?:xn--[\w-]{2,59}|[^\W\d_]{2,24})(?![\w-])")
_AFTER_AT_NUMERIC = re.compile(r"\[[\d.:a-fA-FIPv]{7,45}\]")
_FILES = frozenset(
    "png jpg jpeg gif svg webp ico css js ts jsx tsx json html htm md py rb java txt pdf zip gz xml yml yaml csv".split()
)

_V4 = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")
_V6 = re.compile(r"(?:[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?:\d{1,3}(?:\.\d{1,3}){3})?")
_NO_ADDRESS = re.compile(
    r"(?:\bv|\brv|version|versions|release|build|firmware|driver|section|clause|chapter|paragraph|figure|upgraded? to|"
    r"updated? to|python|node|chrome|chromium|oid|numbering|step|§)[\s:=v]*(?:\d[\d.]*\s*(?:to|->|→|and|-)\s*v?)?$",
    re.IGNORECASE,
)


def emails(text: str) -> Iterator[Found]:
    """Addresses of mail: each @ with what may stand on its two sides."""
    at = text.find("@")
    while at >= 0:
        before = _BEFORE_AT.search(text[max(0, at - _LOCAL) : at])
        after = _AFTER_AT.match(text, at + 1, at + _DOMAIN) or _AFTER_AT_NUMERIC.match(text, at + 1)
        if before and after and _is_mail(text, before.group(), after):
            yield Found(at - len(before.group()), after.end(), Kind.EMAIL)
        at = text.find("@", at + 1)


def _is_mail(text: str, local: str, after: re.Match[str]) -> bool:
    domain = after.group()
    if ".." in local or domain.rpartition(".")[2].lower() in _FILES:
        return False
    return not (local == "git" and text[after.end() : after.end() + 1] in (":", "/"))  # a repository, nobody's mail


def addresses(text: str) -> Iterator[Found]:
    """Addresses of machines, of either length."""
    if text.count(".") > 2:
        for one in _V4.finditer(text):
            if _stands_alone(text, one.start(), one.end(), ".") and _is_v4(text, one):
                yield Found(one.start(), one.end(), Kind.IP)
    if text.count(":") > 1:
        for one in _V6.finditer(text):
            end = one.end() - (one.group().endswith(":") and not one.group().endswith("::"))
            if _stands_alone(text, one.start(), end, ":") and _is_v6(text[one.start() : end]):
                yield Found(one.start(), end, Kind.IP)


def _is_v4(text: str, one: re.Match[str]) -> bool:
    try:
        IPv4Address(one.group())
    except AddressValueError:
        return False
    return not _NO_ADDRESS.search(text[max(0, one.start() - 32) : one.start()])


def _is_v6(written: str) -> bool:
    if not any(sign.isdigit() for sign in written):  # "dead::beef" is rather a name in a program
        return False
    try:
        IPv6Address(written)
    except AddressValueError:
        return False
    return len(written) > 4 or written == "::1"


def _stands_alone(text: str, start: int, end: int, sign: str) -> bool:
    """Whether no letter, digit or further part of a longer number touches it; a full stop may end the sentence."""
    before, after = text[start - 1 : start], text[end : end + 2]
    if before and (before.isalnum() or before in (sign, "_", "-", ".")):
        return False
    return not (after and (after[0].isalnum() or after[0] in "_-" or (after[0] == sign and after[1:].isalnum())))
