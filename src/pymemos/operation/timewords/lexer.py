"""The lexer finds the words of a text that can speak of time, and gives each its role in the grammar."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import NamedTuple

from pymemos.operation.timewords.grammar import Grain, Item, Phrase, Recurring
from pymemos.operation.timewords.known import YEARLY, Known, Named, among, named_at
from pymemos.operation.timewords.spans import day_name, day_of_year, months, one_day, years
from pymemos.operation.timewords.tongues import ELIDING, MONTH_FIRST, ORDINAL_DOT, TONGUES

DEFAULT = "en"

# A new line is a mark where it is empty, or begins with a sign as in a list; else the sentence goes on.
_MARKS = r"[,.;:!?()\u2013\u2014\u2026-]|\n(?=[ \t]*(?:\n|[^\w\s']))"
_NUMBERS = (
    r"[$\u20ac\u00a3#]\s?\d[\d.,]*|\d[\d.,]*\s?[%\u00b0$\u20ac\u00a3]"  # amounts, which are no years
    r"|\d{4}[-/]\d{1,2}[-/]\d{1,2}(?!\d)|\d{1,2}([./-])\d{1,2}\1\d{4}(?!\d)|\d{4}-(?:0[1-9]|1[0-2])(?![-\d])"
    r"|\d+(?:[.,:/]\d+)+|'\d\d(?![\w'./:-])|\d+(?:st|nd|rd|th|er|s)?(?!\w)|\d\w*"
)
_PIECE = re.compile(r"[\W\d_]+")
_NUMERAL = re.compile(r"'?(\d+)(st|nd|rd|th|er|s|)")
_STOPS = frozenset(".;!?()\n\u2026")
_DASHES = frozenset("-\u2013\u2014")
_ABBREVIATED = frozenset("jan feb mar apr jun jul aug sep sept oct nov dec st mr mrs ms dr".split())
_NO_PAST = frozenset("indeed hundred speed excited tired interested worried".split())  # "ed" without a past
# What words become, of which the company decides.
_DECIDED = {"named month": "name", "doubtful month": "name", "doubtful weekday": "weekday", "decade": "phrase"}
_NAMING = frozenset(("month", "weekday", "season", "day", "unit", "last", "passed", "coming", "next", "ago", "recent"))
_YEARS = range(1800, 2200)  # what four digits may be taken for


class Word(NamedTuple):
    """A word or mark of a text."""

    text: str
    low: str
    begin: int
    end: int


class Entry(NamedTuple):
    """What a word, with those that must follow it, is in a language."""

    rest: tuple[str, ...]
    role: str
    number: int


Lexicon = Mapping[str, Sequence[Entry]]


def normal(text: str) -> str:
    """The text with composed letters and straight apostrophes, as it is read and quoted."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text).replace("\u2019", "'").replace("\u2018", "'")


def caseless(text: str) -> bool:
    """Whether nothing can be told from capitals, for they are everywhere or nowhere."""
    return text == text.lower() or text == text.upper()


def words(text: str, language: str) -> list[Word]:
    """The words and marks of a text; in French and Italian what was elided is a word of its own."""
    found = _pattern(language in ELIDING).finditer(text)
    return [Word(one[0], _folded(one[0], language), *one.span()) for one in found]


@cache
def _pattern(eliding: bool) -> re.Pattern[str]:
    """What finds words and marks; compiled at first use, for that takes longer than to import this module."""
    letters = r"[^\W\d_]+'?" if eliding else r"[qQ][1-4](?!\w)|[^\W\d_]+(?:'[^\W\d_]+)*"
    return re.compile(f"(?:{_NUMBERS}|{letters}|{_MARKS})")


def sentences(line: Sequence[Word], language: str) -> Iterator[list[Word]]:
    """The words of each sentence; the dot of an abbreviation, or of an ordinal in German, ends none."""
    sentence: list[Word] = []
    for word in line:
        if word.low not in _STOPS:
            sentence.append(word)
        elif word.low != "." or not sentence or not _dotted(sentence[-1].low, language):
            yield sentence
            sentence = []
    yield sentence


def items(sentence: Sequence[Word], language: str, *, caseless: bool, known: Sequence[Known] = ()) -> list[Item]:
    """What each word of a sentence is, where several of them may be one item."""
    lexicon = _lexicon(language)
    lows = [word.low for word in sentence]
    asked = among(known, lows) if known else []
    found: list[Item] = []
    place = 0
    while place < len(sentence):
        word = sentence[place]
        named = named_at(asked, lows, place) if asked else None
        entry = _entry(lexicon, lows, place) if named is None else None
        stop = named.stop if named else place + 1 + (len(entry.rest) if entry else 0)
        end, before = sentence[stop - 1].end, found[-1].role if found else ""
        if named is not None:
            found.append(_named(named, word.begin, end))
        elif entry is not None:
            role = _role(entry.role, word, caseless=caseless, before=before)
            end -= 2 if _is_possessive(lows[stop - 1], entry, lexicon) else 0
            found.append(_listed(Item(role, word.begin, end, entry.number, word.low)))
        else:
            found.append(_unlisted(word, language, before))
        place = stop
    return found


def _entry(lexicon: Lexicon, lows: Sequence[str], place: int) -> Entry | None:
    """The longest entry that the words from that place on fit."""
    low = lows[place]
    for entry in lexicon.get(low) or lexicon.get(low.removesuffix("'s"), ()):
        stop = place + 1 + len(entry.rest)
        if not entry.rest or entry.rest == (*lows[place + 1 : stop - 1], _bare(lows, stop - 1, entry.rest[-1])):
            return entry
    return None


def _is_possessive(low: str, entry: Entry, lexicon: Lexicon) -> bool:
    """Whether the last word of an entry is possessive in the text, but not in the entry, as in "new year's"."""
    return low.endswith("'s") and not (entry.rest[-1] == low if entry.rest else low in lexicon)


def _bare(lows: Sequence[str], place: int, wanted: str) -> str:
    """The word at that place, without the possessive that "last night" has in "last night's party"."""
    low = lows[place] if place < len(lows) else ""
    return low if low == wanted else low.removesuffix("'s")


def _role(role: str, word: Word, *, caseless: bool, before: str) -> str:
    """The role of a listed word; what may be a name or a verb is a month or a weekday only in company."""
    capital = word.text[0].isupper()
    match role:
        case "named month":
            return "name" if capital or caseless else "month"
        case "doubtful month":
            return "name" if capital and not caseless else "low"
        case "doubtful weekday":
            said = before in ("on", "last", "next", "this", "until", "by")
            return "weekday" if said and capital and not caseless else "other"
        case _:
            return role


def _listed(item: Item) -> Item:
    if item.role == "decade":
        return item._replace(role="phrase", phrase=Phrase(years(item.number, 10), Grain.YEAR))
    return item


def _unlisted(word: Word, language: str, before: str) -> Item:
    item = Item("other", word.begin, word.end, word=word.low)
    first = word.low[0]
    if first.isdecimal() or first == "'":
        return _numeral(item, language, before)
    if first in _DASHES or first == ",":
        return item._replace(role="comma" if first == "," else "dash")
    if first == "q" and len(word.low) == 2 and word.low[1].isdecimal():
        return item._replace(role="quarter", number=int(word.low[1]))
    if language == "en" and len(word.low) > 4:
        if word.low.endswith("'ll"):
            return item._replace(role="ahead")
        if word.low.endswith("ed") and word.low not in _NO_PAST:
            return item._replace(role="behind")
    return item


def _named(named: Named, begin: int, end: int) -> Item:
    one = named.known
    if one.head[-1] not in YEARLY:
        phrase = Phrase(one_day(one.day), Grain.DAY, named.sure, note=f"{one.key} was on that day")
        return Item("phrase", begin, end, phrase=phrase)
    note = f"{one.key} is on {day_name(one.day).rpartition(' ')[0]}"
    recurring = Recurring(day_of_year(one.day.month, one.day.day), Grain.DAY, named.sure, note)
    return Item("yearly", begin, end, word=named.which, recurring=recurring)


# Numbers.


def _numeral(item: Item, language: str, before: str) -> Item:
    low = item.word
    found = _NUMERAL.fullmatch(low)
    if found is None or len(found[1]) > 4:
        return _date(item, language) if found is None else item
    digits, suffix = found[1], found[2]
    number = int(digits)
    if suffix == "s":
        return _decade(item, number, before)
    if low.startswith("'"):
        return item._replace(role="year", number=number + (2000 if number < 50 else 1900))
    if suffix:
        return item._replace(role="ordinal", number=number)
    return item._replace(role="year" if number in _YEARS and len(digits) == 4 else "number", number=number)


def _decade(item: Item, number: int, before: str) -> Item:
    """'The 1990s', 'the 90s'; '20s' alone are seconds."""
    start = number if number in _YEARS else 1900 + number
    if number % 10 or not (number in _YEARS or (10 <= number <= 90 and before in ("the", "part"))):
        return item
    return item._replace(role="phrase", phrase=Phrase(years(start, 10), Grain.YEAR))


def _date(item: Item, language: str) -> Item:
    """A date in digits; where day and month cannot be told apart the language decides, and it is an estimate."""
    parts = re.split(r"[-./]", item.word)
    if not all(part.isdecimal() for part in parts) or len(item.word) > 10 or 4 not in map(len, parts):
        return item
    numbers = [int(part) for part in parts]
    precise = True
    if len(parts) == 2 and numbers[0] in _YEARS and "-" in item.word:
        return _phrase(item, Phrase(months(numbers[0], numbers[1], 1), Grain.MONTH))
    if len(parts) != 3:
        return item
    if len(parts[0]) == 4 and "." in item.word:  # a version
        return item
    if len(parts[0]) < 4:
        first, second, year = numbers
        swapped = second > 12 or (first <= 12 and language in MONTH_FIRST and "." not in item.word)
        precise = first > 12 or second > 12 or first == second or "." in item.word
        numbers = [year, first, second] if swapped else [year, second, first]
    try:
        return _phrase(item, Phrase(one_day(date(*numbers)), Grain.DAY, precise))
    except (ValueError, OverflowError):  # there is no such day
        return item


def _phrase(item: Item, phrase: Phrase) -> Item:
    return item._replace(role="phrase", phrase=phrase)


# Lexicons.


def hinted(text: str) -> list[str]:
    """The languages that words for times, unknown in English, speak for: two at least, for one may be a name."""
    lows = {word.low for word in words(text, "fr")}  # as in French, so that "l'été" is two words
    counts = {language: len(lows & _telling(language)) for language in TONGUES if language != DEFAULT}
    return sorted((language for language in counts if counts[language] > 1), key=lambda one: -counts[one])


@cache
def _telling(language: str) -> frozenset[str]:
    """The words that name times in a language, and mean nothing in English."""
    own = {low for low, entries in _lexicon(language).items() if any(entry.role in _NAMING for entry in entries)}
    return frozenset(own.difference(_lexicon(DEFAULT)))


@cache
def marks(roles: frozenset[str]) -> frozenset[str]:
    """Of each entry with one of these roles, in every language, the longest piece: no text without it has the entry."""
    found = [
        max(_PIECE.split(text), key=len)
        for language in TONGUES
        for role, text, _ in _entries(language)
        if _DECIDED.get(role, role) in roles
    ]
    return frozenset(found) | pieces(" ".join(found))


def pieces(text: str) -> set[str]:
    """The runs of letters of a text in small letters, as they are and without accents."""
    low = text.lower()
    return {*_PIECE.split(low), *(() if low.isascii() else _PIECE.split(_folded(low, "")))}


@cache
def _lexicon(language: str) -> Lexicon:
    lexicon: dict[str, list[Entry]] = {}
    for role, text, number in _entries(language):
        first, *rest = [word.low for word in words(text, language)]
        lexicon.setdefault(first, []).append(Entry(tuple(rest), role, number))
    return {first: sorted(found, key=lambda entry: -len(entry.rest)) for first, found in lexicon.items()}


def _entries(language: str) -> Iterator[tuple[str, str, int]]:
    """The role, words and number of each entry of a tongue."""
    for line in TONGUES[language].strip().splitlines():
        role, _, entries = line.partition(": ")
        for entry in entries.split(", "):
            text, _, number = entry.partition(":")
            yield role, text, int(number or 0)


def _folded(word: str, language: str) -> str:
    """The word in small letters, and without accents where people often leave them out."""
    low = word.lower()
    if low.isascii() or language == DEFAULT:
        return low
    letters = unicodedata.normalize("NFD", low)
    return "".join([letter for letter in letters if not unicodedata.combining(letter)])


def _dotted(low: str, language: str) -> bool:
    return low in _ABBREVIATED or (language in ORDINAL_DOT and low.isdecimal())
