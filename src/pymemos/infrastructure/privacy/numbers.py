"""Numbers: of payment cards, bank accounts and telephones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pymemos.cube.privacy import Found, Kind
from pymemos.infrastructure.privacy.context import IDENTITIES, PHONES, leaning, words
from pymemos.infrastructure.privacy.identities import stdnum

# Chains of words that hold digits: whatever is long enough is looked at.
_CHAIN = re.compile(r"\d\w*(?:[ .\-/()\u00a0]{1,4}[A-Z]{0,4}\d\w*)*")
_LEAST_DIGITS = 6
_LONGEST_WORD = 24

_CARD = re.compile(r"\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -]?)\d{6}\2\d{4,5}|\d{12,19}")
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|(?:6011|64[4-9]\d|65\d\d)\d{12,15}|"
    r"3(?:0[0-5]|[689]\d)\d{11}|(?:35\d{14}|(?:2131|1800)\d{11})|62\d{14,17}|(?:5[06-9]|6\d)\d{11,17}|(?:50(?:18|20|38)|5[6-8]\d\d|6304|639\d|67\d\d|0604)\d{8}|9792\d{12}|"
    r"220[0-4]\d{12}"
)
_CARDS = words("card", "credit", "debit", "visa", "master", "amex", "american express", "maestro", "discover", "karte",
               "kredit", "carte", "tarjeta", "cartão", "carta di credito", "kaart", "payment", "paid", r"cc\b", "pan\b",
               "charge", "jcb", "diners", "karta", "kort", "信用卡", "カード")  # fmt: skip

_IBAN = re.compile(r"[A-Z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")

_EXTENSION = r"(?:\s?(?:x|ext\.?|extension|#|app\.?|dw)\s?\d{1,6})?"
_PHONE = re.compile(rf"\(?(?:\+|00)?\(?\+?\d(?:[ \u00a0().\-/]{{0,3}}\d){{5,16}}{_EXTENSION}")
_ABROAD = re.compile(r"\(?\(?\+\)?\(?\d{1,3}\)?|00[1-9]\d{0,2}[ \-./(]")
_HOME = re.compile(
    r"(?:1[ .-])?\(\d{3}\)[ .-]?\d{3}[ .-]?\d{4}|(?:1[ .-])?\d{3}([.-])\d{3}\1\d{4}|1?[ .-]?\d{3}[ -]\d{3}[ -]\d{4}|"
    r"\(0?\d{1,4}\)[ /-]{0,2}\d{2,5}(?:[ /-]{1,2}\d{2,5}){0,3}|\(0\d{1,5}\)[ -]?\d{4,8}|"
    r"0\d(?:[ .-]\d\d){4}|0[1-9]\d{8,9}|(?!\d{5}-\d{3}$)0\d{1,4}[ /-]{1,3}\d{2,8}(?:[ -]\d{2,5}){0,4}|8[ -]\(?\d{3}\)?[ -]\d{3}[ -]?\d{2}[ -]?\d{2}"
)
_DATE = re.compile(
    r"(?:(?:19|20)\d\d([-/. ])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])|"
    r"(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|1[0-2])\2(?:19|20)?\d\d|"
    r"(?:0?[1-9]|1[0-2])([-/.])(?:0?[1-9]|[12]\d|3[01])\3(?:19|20)?\d\d)(?!\d|[ .-]\d\d[ .-]\d\d)"
)
_ISBN = re.compile(r"97[89][- ]?(?:\d[- ]?){9}\d|\d-\d{2,5}-\d{2,6}-[\dXx]\b")


def chains(text: str) -> Iterator[tuple[int, int]]:
    """The parts of a text with digits enough to be the number of something."""
    for one in _CHAIN.finditer(text):
        start, end = one.span()
        if (
            end - start >= _LEAST_DIGITS
            and not _is_hash(one.group())
            and sum(map(str.isdigit, one.group())) >= _LEAST_DIGITS
        ):
            while start and (text[start - 1].isalnum() or text[start - 1] in "+("):
                start -= 1
            yield start, end


def _is_hash(chain: str) -> bool:
    """Whether it is one word, longer than any number of something."""
    return len(chain) > _LONGEST_WORD and chain.isalnum()


def cards(text: str, start: int, end: int) -> Iterator[Found]:
    """Payment cards: an issuer's prefix and length, and the check digit of ISO/IEC 7812."""
    for one in _CARD.finditer(text, start, end):
        number = "".join(filter(str.isdigit, one.group()))
        if not _ISSUERS.fullmatch(number) or not luhn(number) or not _is_whole(text, one.start(), one.end()):
            continue
        said = leaning(text, one.start(), one.end(), _CARDS)
        if said == 0 and len(number) < 14:  # so few digits may be an identity that says so
            said = -max(leaning(text, one.start(), one.end(), spoken) for spoken in (IDENTITIES, PHONES))
        if said >= 0:
            yield Found(one.start(), one.end(), Kind.CARD)


def luhn(number: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2])
    return (sum(doubled) + sum(map(int, number[-1::-2]))) % 10 == 0


def ibans(text: str) -> Iterator[Found]:
    """Bank accounts: a country, its length, and the remainder 1 modulo 97 (ISO 13616)."""
    for one in _IBAN.finditer(text):
        if text[one.start() - 1 : one.start()].isalnum() or not one.group().isascii():
            continue
        length = _iban_length(one.group())
        if length and not text[one.start() + length : one.start() + length + 1].isalnum():
            yield Found(one.start(), one.start() + length, Kind.IBAN)


def _iban_length(written: str) -> int:
    """How many of the signs are an IBAN: as many as its country's have, and they check."""
    signs = [(place + 1, sign) for place, sign in enumerate(written.upper()) if sign.isalnum()]
    head = int("".join(str(int(sign, 36)) for _, sign in signs[:4]))  # two letters and two digits: six digits
    rest, found = 0, 0
    for count, (end, sign) in enumerate(signs[4:], start=5):
        value = int(sign, 36)
        rest = (rest * (100 if value > 9 else 10) + value) % 97
        if count >= 15 and (rest * 1_000_000 + head) % 97 == 1:
            found = end if stdnum("iban").is_valid(written[:end], check_country=False) else found
    return found


def phones(text: str, start: int, end: int) -> Iterator[Found]:
    """Telephones: written as from abroad or as at home, or with words that say so."""
    for one in _PHONE.finditer(text, start, min(len(text), end + 16)):
        begin = one.start() + max(0, one.group().count("(") - one.group().count(")"))  # of a remark in parentheses
        written = text[begin : one.end()]
        if not _is_whole(text, begin, one.end()):
            continue
        number = _EXT.split(written)[0]
        digits = sum(map(str.isdigit, number))
        if not 7 <= digits <= 16 or _DATE.match(number) or _ISBN.fullmatch(number):
            continue
        said = leaning(text, begin, one.end(), PHONES)
        if said > 0 or (said == 0 and _is_telling(number, digits)):
            yield Found(begin, one.end(), Kind.PHONE)


_EXT = re.compile(r"\s?(?:x|ext|#|app|dw)", re.IGNORECASE)


def _is_telling(number: str, digits: int) -> bool:
    """Whether the form itself says that it is a telephone."""
    if _ABROAD.match(number):
        return digits >= 8
    return 8 <= digits <= 12 and _HOME.fullmatch(number) is not None


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether it is no part of something longer."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before and (before[-1].isalnum() or before[-1] in "_#$€£+" or (before[-1] in ".,-/" and before[0].isalnum())):
        return False
    return not (after and (after[0].isalnum() or after[0] in "_%€$£°" or (after[0] in "-./:," and after[1:].isalnum())))
