"""National identities: the numbers that states give to people, by form and check digits (python-stdnum).

A form that no other number has speaks for itself; one that one number in ten would pass needs words that say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from pymemos.cube.privacy import Found, Kind
from pymemos.errors import MissingExtra
from pymemos.infrastructure.privacy.context import IDENTITIES as SAYING
from pymemos.infrastructure.privacy.context import PHONES, leaning


class Identity(NamedTuple):
    """A number of some state: the module of python-stdnum that checks it, its form, and whether that is telling."""

    module: str
    form: str
    telling: bool
    lengths: tuple[int, ...] = ()  # how many letters and digits it has


IDENTITIES = (
    Identity("us.ssn", r"\d{3}-\d{2}-\d{4}", True, (9,)),
    Identity("us.itin", r"9\d{2}-\d{2}-\d{4}", True, (9,)),
    Identity("us.ssn", r"\d{9}|\d{3} \d{2} \d{4}", False, (9,)),
    Identity("ca.sin", r"\d{3}([ -]?)\d{3}\1\d{3}", False, (9,)),
    Identity("gb.nhs", r"\d{3}([ -]?)\d{3}\1\d{4}", False, (10,)),
    Identity("fr.nir", r"[123478] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3}[ |-]?\d\d", True, (15,)),
    Identity("fr.nif", r"[0-3]\d ?\d\d(?: ?\d{3}){3}", False, (13,)),
    Identity("de.idnr", r"[1-9]\d ?\d{3} ?\d{3} ?\d{3}", False, (11,)),
    Identity("it.codicefiscale", r"[A-Za-z]{6}\d\d[A-Za-z]\d\d[A-Za-z]\d{3}[A-Za-z]", True, (16,)),
    Identity("es.nif", r"\d{8}[A-Za-z]|\d{2}\.\d{3}\.\d{3}[A-Za-z]", True, (9,)),
    Identity("es.nie", r"[XYZxyz]\d{7}[A-Za-z]", True, (9,)),
    Identity("pt.cc", r"\d{8} ?\d ?[A-Z0-9]{2}\d", False, (12,)),
    Identity("pt.nif", r"[1-35689]\d{2} ?\d{3} ?\d{3}", False, (9,)),
    Identity("nl.bsn", r"\d{9}|\d{4}\.\d{2}\.\d{3}|\d{3} \d{3} \d{3}", False, (9,)),
    Identity("be.nn", r"\d{2}\.?\d{2}\.?\d{2}[ -]?\d{3}[. ]?\d{2}", True, (11,)),
    Identity("ch.ssn", r"756\.?\d{4}\.?\d{4}\.?\d{2}", True, (13,)),
    Identity("at.vnr", r"\d{4} ?\d{6}", False, (10,)),
    Identity("ie.pps", r"\d{7}[A-Wa-w][A-Ia-iWTX]?", True, (8, 9)),
    Identity("pl.pesel", r"\d{11}", True, (11,)),
    Identity("cz.rc", r"\d{6}/\d{3,4}", True, (9, 10)),
    Identity("cz.rc", r"\d{9,10}", False, (9, 10)),
    Identity("ro.cnp", r"[1-9]\d{12}", True, (13,)),
    Identity("bg.egn", r"\d{10}", False, (10,)),
    Identity("hr.oib", r"\d{11}", False, (11,)),
    Identity("si.emso", r"\d{13}", True, (13,)),
    Identity("gr.amka", r"\d{11}", True, (11,)),
    Identity("ee.ik", r"[1-6]\d{10}", True, (11,)),
    Identity("lt.asmens", r"[1-6]\d{10}", True, (11,)),
    Identity("lv.pvn", r"\d{6}-\d{5}", True, (11,)),
    Identity("se.personnummer", r"(?:\d{2})?\d{6}[-+]\d{4}", True, (10, 12)),
    Identity("se.personnummer", r"\d{10}|(?:19|20)\d{10}", False, (10, 12)),
    Identity("no.fodselsnummer", r"\d{6} ?\d{5}", True, (11,)),
    Identity("dk.cpr", r"\d{6}-\d{4}", False, (10,)),
    Identity("dk.cpr", r"\d{10}", False, (10,)),
    Identity("fi.hetu", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", True, (10, 11)),
    Identity("is_.kennitala", r"\d{6}-\d{4}", True, (10,)),
    Identity("is_.kennitala", r"\d{10}", False, (10,)),
    Identity("tr.tckimlik", r"[1-9]\d{10}", True, (11,)),
    Identity("il.idnr", r"\d{9}|\d{8}-\d", False, (9,)),
    Identity("za.idnr", r"\d{13}|\d{6} \d{4} \d{3}", True, (13,)),
    Identity("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}", True, (11,)),
    Identity("br.cpf", r"\d{11}|\d{9}-\d{2}", True, (11,)),
    Identity("ar.cuit", r"(?:20|23|24|25|26|27)-\d{8}-\d", True, (11,)),
    Identity("ar.cuit", r"(?:20|23|24|25|26|27)\d{9}", False, (11,)),
    Identity("cl.rut", r"\d{1,2}\.\d{3}\.\d{3}-\d", True, (8, 9)),
    Identity("cl.rut", r"\d{7,8}-\d", True, (8, 9)),
    Identity("mx.curp", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d", True, (18,)),
    Identity("mx.rfc", r"[A-ZÑ&]{4}\d{6}[A-Z0-9]{3}", False, (13,)),
    Identity("ec.ci", r"\d{9}-?\d", False, (10,)),
    Identity("uy.rut", r"\d{12}", False, (12,)),
    Identity("own.ric", r"\d{17}[\dXx]", True, (18,)),
    Identity("own.rrn", r"\d\d[01]\d[0-3]\d-[1-8]\d{6}", True, (13,)),
    Identity("own.rrn", r"\d\d[01]\d[0-3]\d[1-8]\d{6}", False, (13,)),
    Identity("jp.in_", r"\d{4}([ -]?)\d{4}\1\d{4}", False, (12,)),
    Identity("in_.aadhaar", r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", False, (12,)),
    Identity("in_.pan", r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]", True, (10,)),
    Identity("th.pin", r"\d-\d{4}-\d{5}-\d{2}-\d", True, (13,)),
    Identity("th.pin", r"\d{13}", False, (13,)),
    Identity("my.nric", r"\d{6}-\d{2}-\d{4}", True, (12,)),
    Identity("id.nik", r"\d{16}", False, (16,)),
    Identity("pk.cnic", r"[1-7]\d{4}-\d{7}-\d", True, (13,)),
    Identity("au.tfn", r"\d{3} ?\d{3} ?\d{2,3}", False, (8, 9)),
    Identity("nz.ird", r"\d{2,3}-?\d{3}-?\d{3}", False, (8, 9)),
    Identity("ru.inn", r"\d{12}", False, (12,)),
    Identity("ua.rntrc", r"\d{10}", False, (10,)),
    Identity("own.rvnr", r"\d{2} ?[0-8]\d[01]\d\d{2} ?[A-Z] ?\d{3}", True, (12,)),
    Identity("own.kvnr", r"[A-Z]\d{9}", False, (10,)),
    Identity("own.snils", r"\d{3}-\d{3}-\d{3}[ -]\d{2}", True, (11,)),
    Identity("own.nric", r"[STFGM]\d{7}[A-Z]", True, (9,)),
    Identity("own.tw", r"[A-Z][12]\d{8}", True, (10,)),
)  # fmt: skip
# Those with a letter that stands apart, which no chain of digits holds.
APART = (
    Identity("own.nino", r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]", True),
    Identity("own.nino", r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-Z]", False),
    Identity("es.nif", r"\d{8}[ -][A-Za-z]|\d{2}\.\d{3}\.\d{3}[ -][A-Za-z]", True),
    Identity("es.nie", r"[XYZ][ -]?\d{7}[ -][A-Z]", True),
    Identity("cl.rut", r"\d{1,2}\.?\d{3}\.?\d{3}-[Kk]", True),
    Identity("own.hk", r"[A-Z]{1,2}\d{6}\([\dA]\)", True),
)
_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS = 7  # of a form that is written in groups


Forms = tuple[tuple[Identity, re.Pattern[str]], ...]


def _by_length() -> dict[int, Forms]:
    """The forms by how many letters and digits what they match has."""
    lengths = sorted({length for one in IDENTITIES for length in one.lengths})
    return {
        length: tuple((one, re.compile(one.form)) for one in IDENTITIES if length in one.lengths) for length in lengths
    }


_FORMS = _by_length()
_LONGEST = max(_FORMS)
_APART = tuple((one, re.compile(one.form)) for one in APART)
_ANY_APART = re.compile("|".join(f"(?:{one.form})" for one in APART))


def identities(text: str, start: int, end: int) -> Iterator[Found]:
    """The national identities in a chain of words with digits."""
    words = [one.span() for one in _WORD.finditer(text, start, end)]
    for first, (begin, _) in enumerate(words):
        signs = 0
        for one in words[first : first + _MOST_WORDS]:
            signs += one[1] - one[0]
            if signs > _LONGEST:
                break
            if signs in _FORMS and _stands_alone(text, begin, one[1]):
                yield from _judged(text, begin, one[1], _FORMS[signs])
    wide = max(0, start - 3), min(len(text), end + 2)  # where a letter may stand apart
    if _ANY_APART.search(text, *wide):
        for apart in _APART:
            for match in apart[1].finditer(text, *wide):
                if _stands_alone(text, match.start(), match.end()):
                    yield from _judged(text, match.start(), match.end(), (apart,))


def _judged(text: str, start: int, end: int, forms: Forms) -> Iterator[Found]:
    """A place that has one of the forms, if the check digits agree and the words around do not speak against it."""
    if not any(form.fullmatch(text, start, end) for _, form in forms):
        return
    said = leaning(text, start, end, SAYING)
    if said < 0 or (said == 0 and leaning(text, start, end, PHONES) > 0):
        return
    written = text[start:end]
    for identity, form in forms:
        if (said or identity.telling) and form.fullmatch(written) and _checks(identity.module)(written):
            yield Found(start, end, Kind.NATIONAL_ID)
            return


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before and (before[-1].isalnum() or before[-1] in "_#$€£" or (before[-1] in "-./+" and before[:1].isalnum())):
        return False
    return not (after and (after[0].isalnum() or after[0] in "_%" or (after[0] in "-./" and after[1:].isalnum())))


@cache
def _checks(module: str) -> Callable[[str], bool]:
    """What says whether a number of a kind is one."""
    if module in _OWN:
        return _OWN[module]
    return stdnum(module).is_valid  # type: ignore[no-any-return]


def stdnum(module: str) -> Any:
    """A module of python-stdnum, which comes with the extra."""
    try:
        return import_module(f"stdnum.{module}")
    except ImportError as error:
        raise MissingExtra(
            "IBANs and national ids are checked by python-stdnum, which is not installed: pip install 'pymemos[privacy]'"
        ) from error


# What the library does not know.


def _nric(number: str) -> bool:
    """Singapore: weights 2 7 6 5 4 3 2, and a letter by the rest."""
    shift = {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    rest = (shift + sum(int(d) * w for d, w in zip(number[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))) % 11
    table = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}
    return table[number[0]][rest] == number[8]


def _taiwan(number: str) -> bool:
    """Taiwan: the letter stands for two digits."""
    first = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    digits = [first // 10, first % 10, *map(int, number[1:])]
    return sum(d * w for d, w in zip(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True)) % 10 == 0


def _hong_kong(number: str) -> bool:
    """Hong Kong: one or two letters, weights from 9 down, modulo 11."""
    body, check = number[:-3].rjust(8), number[-2]
    values = [36 if sign == " " else int(sign, 36) for sign in body]
    total = sum(v * w for v, w in zip(values, range(9, 1, -1), strict=True)) + int(check, 11)
    return total % 11 == 0


def _snils(number: str) -> bool:
    """Russia: weights 9 to 1, modulo 101."""
    digits = [int(sign) for sign in number if sign.isdigit()]
    return sum(d * w for d, w in zip(digits, range(9, 0, -1), strict=False)) % 101 % 100 == digits[9] * 10 + digits[10]


def _ric(number: str) -> bool:
    """China: a day of birth, and ISO 7064 modulo 11-2. (The library also wants a county of today.)"""
    born = 19 <= int(number[6:8]) <= 20 and 1 <= int(number[10:12]) <= 12 and 1 <= int(number[12:14]) <= 31
    return born and bool(stdnum("iso7064.mod_11_2").is_valid(number.upper()))


def _shape_alone(number: str) -> bool:
    return bool(number)


_OWN: dict[str, Callable[[str], bool]] = {
    "own.nino": _shape_alone,  # has no check digit
    "own.ric": _ric,
    "own.rrn": _shape_alone,  # has had none since 2020
    "own.rvnr": _shape_alone,
    "own.kvnr": _shape_alone,
    "own.snils": _snils,
    "own.nric": _nric,
    "own.tw": _taiwan,
    "own.hk": _hong_kong,
}
