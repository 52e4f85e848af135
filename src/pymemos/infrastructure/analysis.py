"""Analysis is how text becomes the terms of the full-text index, in the same way for documents and for queries."""

from __future__ import annotations

import importlib
import json
import re
import struct
import threading
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

from pymemos.errors import InvalidInput
from pymemos.infrastructure.irregular import english_forms

VERSION = "3"  # stored with the index; a change here makes the system reindex

# The languages that have a Snowball stemmer, by ISO 639-1 code.
_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
# The languages whose words are only folded, or cut into pairs of characters.
_UNSTEMMED = frozenset(
    "af am az be bg bn bo bs cy et gl gu he hr is ja ka kk km kn ko la lo lv mk ml mn mr ms my or pa sk si sl sq sw"
    " te th tl uk ur vi zh".split()
)
LANGUAGES = frozenset(_SNOWBALL) | _UNSTEMMED

# A script is named by the language that speaks for it: the one that its words are taken for where the text is in
# a language of another script. No name: not letters; "?": other letters. Each entry holds from its character to that of
# the next.
_SCRIPTS = (
    (0, ""), (0x41, "en"), (0x5B, ""), (0x61, "en"), (0x7B, ""), (0xAA, "en"), (0xAB, ""), (0xBA, "en"), (0xBB, ""),
    (0xC0, "en"), (0x2B0, ""), (0x370, "el"), (0x400, "ru"), (0x530, "hy"), (0x590, "he"), (0x600, "ar"),
    (0x700, "?"), (0x750, "ar"), (0x780, "?"), (0x8A0, "ar"), (0x900, "hi"), (0x980, "bn"), (0xA00, "pa"),
    (0xA80, "gu"), (0xB00, "or"), (0xB80, "ta"), (0xC00, "te"), (0xC80, "kn"), (0xD00, "ml"), (0xD80, "si"),
    (0xE00, "th"), (0xE80, "lo"), (0xF00, "bo"), (0x1000, "my"), (0x10A0, "ka"), (0x1100, "ko"), (0x1200, "am"),
    (0x13A0, "?"), (0x1780, "km"), (0x1800, "?"), (0x1C80, "ru"), (0x1C90, "ka"), (0x1CC0, ""), (0x1D00, "en"),
    (0x1DC0, ""), (0x1E00, "en"), (0x1F00, "el"), (0x2000, ""), (0x2C00, "?"), (0x2C60, "en"), (0x2C80, "?"),
    (0x2D00, "ka"), (0x2D30, "?"), (0x2D80, "am"), (0x2DE0, "ru"), (0x2E00, ""), (0x2E80, "zh"), (0x3000, ""),
    (0x3005, "zh"), (0x3008, ""), (0x3021, "zh"), (0x302A, ""), (0x3041, "ja"), (0x3100, "zh"), (0x3130, "ko"),
    (0x3190, ""), (0x31A0, "zh"), (0x31C0, ""), (0x31F0, "ja"), (0x3200, ""), (0x3400, "zh"), (0x4DC0, ""),
    (0x4E00, "zh"), (0xA000, "?"), (0xA640, "ru"), (0xA6A0, "?"), (0xA720, "en"), (0xA800, "?"), (0xA8E0, "hi"),
    (0xA900, "?"), (0xA960, "ko"), (0xA980, "?"), (0xA9E0, "my"), (0xAA00, "?"), (0xAA60, "my"), (0xAA80, "?"),
    (0xAB30, "en"), (0xAB70, "?"), (0xAC00, "ko"), (0xD800, ""), (0xF900, "zh"), (0xFB00, "en"), (0xFB13, "hy"),
    (0xFB1D, "he"), (0xFB50, "ar"), (0xFE00, ""), (0xFE70, "ar"), (0xFF00, ""), (0x10000, "?"), (0x1AFF0, "ja"),
    (0x1B170, "?"), (0x1F000, ""), (0x20000, "zh"), (0x323B0, ""),
)  # fmt: skip
_SCRIPT_STARTS = tuple(start for start, _ in _SCRIPTS)
# The languages that are written in another script than Latin, and in which ones.
_WRITTEN = {script: (script,) for _, script in _SCRIPTS if script.isalpha()} | {
    "fa": ("ar",), "ur": ("ar",), "yi": ("he",), "mr": ("hi",), "ne": ("hi",), "sr": ("ru", "en"), "uk": ("ru",),
    "bg": ("ru",), "be": ("ru",), "mk": ("ru",), "kk": ("ru",), "mn": ("ru",), "az": ("en", "ru"),
}  # fmt: skip
# The letters that tell the languages of one script apart.
_LETTERS_OF = {"ar": ((frozenset("ٹڈڑںےہھ"), "ur"), (frozenset("پچژگکی"), "fa"))}
_SQUARE = frozenset(("zh", "ja", "ko"))  # a character is a unit; no spaces, or (Korean) none before a particle
_STACKED = frozenset(("th", "lo", "km", "my"))  # no spaces, and signs around a letter that are nothing without it
_DENSE = _SQUARE | _STACKED
_OTHER = "?"  # the scripts that no language here is written in: many of them set no words apart
_SINGLES = frozenset(("zh", "ko", _OTHER))
_FOLDED = frozenset(("en", "el", "ru", "ar", "he"))  # in the scripts of India a mark is a vowel, not an accent
_ELIDING = frozenset(("fr", "it", "ca"))
_UNBROKEN = frozenset(("ru", "uk", "be", "he", "yi"))
_RESPELLING = frozenset(("sr", "eo"))  # their stemmers turn ASCII digraphs into letters with diacritics
_VOTES = 60  # of a function word, for the languages that have it to share
_ENGLISH = (1 << 32) - 1  # where the votes for English are

# What each byte of an ASCII text becomes: bytes are translated several times faster than characters.
_ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() or code == 0x27 else 0x20 for code in range(128)) * 2
_DIGITS = b"0123456789"
# Each of these begins with what it looks for, and looks behind after it: that is how re can skip ahead.
_DATE = re.compile(r"([0-9](?<![0-9][0-9])[0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))(?![0-9])")
_GROUPING = re.compile(r",(?<=[0-9],)(?=[0-9]{3}(?![0-9]))")
_ORDINAL = re.compile(r"([0-9](?<!\w[0-9])[0-9]?)(?:st|nd|rd|th)\b")
_FOREIGN_DECIMAL = re.compile(r"[^\D0-9]")
_CLITICS = frozenset(("s", "d", "m", "ll", "re", "ve"))
_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ŧ": "t"}
)
# Soft hyphens, joiners, variation selectors and the Arabic stretcher are spelling without meaning; so is the dot that
# folding the Turkish capital İ leaves behind. The typographic apostrophes are apostrophes.
_NOISE = re.compile("[\u00ad\u034f\u0640\u200c\u200d\u2060\ufeff\ufe00-\ufe0f\U000e0100-\U000e01ef]|(?<=i)\u0307")
_APOSTROPHE = re.compile("[\u2018\u2019\u02bc\u05f3]")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip


def detect_language(text: str) -> str | None:
    """The language of the text as an ISO 639-1 code, or None where nothing speaks for one."""
    if text.isascii():
        return _voted(_sample(_ascii_words(text)))
    text = _cleaned(text[:4000])
    script = _main_script(text)
    if script == "en":
        return _voted(_pattern().findall(text.replace("'", " ")))
    return next((code for letters, code in _LETTERS_OF.get(script, ()) if letters & set(text)), script or None)


def document_terms(text: str, language: str | None) -> tuple[str, ...]:
    """The terms of a text of that language (of English where it is not known), with repetition.

    Stop words count only where there is nothing else. (Those in capitals, such as "IT", cost 0.8 points of PrefEval.)
    """
    if text.isascii() and language not in _RESPELLING:
        return Reader().terms(_ascii_words(text), language)
    return _any_document_terms(text, language)


class Reader:
    """Reads the texts of one call; a word that comes again is not looked up and stemmed again.

    It goes when the call ends: in a cache that stays, erased words would live on.
    """

    def __init__(self, language: str | None = None) -> None:
        self._language = language
        self._terms: dict[str | None, _TermOf] = {}  # by language

    def read(self, text: str) -> tuple[str | None, tuple[str, ...]]:
        """The language of a text, unless the reader was given it, and its terms."""
        if not text.isascii():
            language = self._language or detect_language(text)
            return language, document_terms(text, language)
        words, plain = _ascii_words(text), "'" not in text
        language = self._language or _voted(words[:800] if plain else _sample(words))
        if language in _RESPELLING:
            return language, document_terms(text, language)
        return language, self.terms(words, language, plain=plain)

    def terms(self, words: list[str], language: str | None, *, plain: bool = False) -> tuple[str, ...]:
        """The terms of the words of an ASCII text; ``plain`` ones have no apostrophes."""
        terms = self._terms.get(language)
        if terms is None:
            terms = self._terms[language] = _TermOf(_tongue(language, "en"))
        if not plain:
            code = terms.code
            words = [part for word in words for part in (_parts(word, code) if "'" in word else (word,))]
        return tuple(filter(None, map(terms.__getitem__, words))) or terms.of_stopped(words)


def query_terms(text: str, languages: Sequence[str]) -> tuple[str, ...]:
    """The distinct terms that find the text's words in documents of those languages (of English if none is given).

    Stop words count only where there is nothing else.
    """
    words, languages = _words(text), languages or ("en",)
    return _in_each(words, languages, stopped=True) or _in_each(words, languages, stopped=False)


def facet_terms(speaker: str | None, day: date | None, language: str | None) -> tuple[str, ...]:
    """The terms of who said it and when, as a query would name them; a name such as Will or May is never stopped."""
    name = _terms(_words(speaker), language, stopped=False, singles=True) if speaker else []
    return (*name, *(() if day is None else _day_terms(day, language)))


@lru_cache(maxsize=1024)  # dates come again, and tell nothing about anybody
def _day_terms(day: date, language: str | None) -> tuple[str, ...]:
    words = [f"{day.year:04}", _MONTHS[day.month - 1], str(day.day), day.isoformat()]
    return tuple(_terms(words, language, stopped=False, singles=True))


def check_language(code: str) -> str:
    """The ISO 639-1 code that is meant ('en' for 'en-US'), if it is known."""
    language = code.lower().replace("_", "-").partition("-")[0]
    if language not in LANGUAGES:
        raise InvalidInput(f"The language {code!r} is not known; use one of {', '.join(sorted(LANGUAGES))}.")
    return language


def _any_document_terms(text: str, language: str | None) -> tuple[str, ...]:
    """What ``document_terms`` gives, without its short cut for ASCII."""
    words = _words(text)
    return tuple(_terms(words, language, singles=True) or _terms(words, language, stopped=False, singles=True))


# From text to words.


def _words(text: str) -> list[str]:
    if text.isascii():
        return _ascii_words(text)
    text = _cleaned(text)
    return _ascii_words(text) if text.isascii() else _numeric_words(text, _pattern().findall)


def _ascii_words(text: str) -> list[str]:
    raw = text.encode("ascii")
    if len(raw.translate(None, _DIGITS)) < len(raw):  # to search for one takes four times as long
        return _numeric_words(text.lower(), _split)
    return raw.translate(_ASCII).decode("ascii").split()


def _split(text: str) -> list[str]:
    return text.encode("ascii").translate(_ASCII).decode("ascii").split()


def _numeric_words(text: str, split: Callable[[str], list[str]]) -> list[str]:
    """The words of a text with digits: '1,200' is 1200, '8th' is 8, and an ISO date is its year and itself."""
    text = _ORDINAL.sub(r"\1", _GROUPING.sub("", text))
    if "-" not in text:
        return split(text)
    first, *rest = _DATE.split(text)
    words = split(first)
    for iso, piece in zip(rest[::2], rest[1::2], strict=True):
        words += (iso[:4], iso, *split(piece))
    return words


def _cleaned(text: str) -> str:
    """The text in one spelling: compatible forms, cases, digits and apostrophes are made equal, noise left out."""
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode("utf-8"))
    text = unicodedata.normalize("NFKC", _NOISE.sub("", text.casefold()))
    text = _FOREIGN_DECIMAL.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    return _APOSTROPHE.sub("'", text).replace("_", " ")


@cache
def _marks() -> str:
    r"""Every combining mark as the inside of a character class: \w leaves them out, and with them Hindi vowels."""
    codes = [code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    return "".join(map(chr, codes))


@cache
def _pattern() -> re.Pattern[str]:
    # The look-ahead spares the space after a word the walk through the marks, which re searches one by one.
    return re.compile(rf"\w+(?:(?![\0-&(-\x7f])['{_marks()}]+\w*)*")


def _parts(word: str, language: str) -> Iterable[str]:
    """What a word with apostrophes consists of, in the way of the language: "Ann's", "l'amour", "Ankara'ya"."""
    word = word.strip("'")
    head, _, tail = word.rpartition("'")
    if not head:
        return (word,) if word else ()
    if language in _UNBROKEN:  # there the apostrophe is a letter
        return (word.replace("'", ""),)
    if language == "tr":
        return (word.partition("'")[0],)
    return filter(None, word.split("'") if language in _ELIDING else _english_parts(word, head, tail))


def _english_parts(word: str, head: str, tail: str) -> Sequence[str]:
    if tail == "t" and head.endswith("n"):
        return (head + tail,)  # "dont" is a stop word, whereas "don" and "won" are not
    return (head if tail in _CLITICS else word).split("'")


# From words to terms.


class _Tongue(NamedTuple):
    """What one thread needs to analyse the words of one language."""

    code: str
    stop: frozenset[str]
    stem: Callable[[str], str]
    forms: Mapping[str, str]  # irregular ones, and what they are forms of

    def terms(self, words: Iterable[str]) -> list[str]:
        """The terms of words that are no stop words."""
        stem, forms = self.stem, self.forms
        return [stem(forms.get(word, word)) for word in words]


class _TermOf(dict[str, str]):
    """The terms of the words of one language that were asked for; that of a stop word is empty."""

    def __init__(self, tongue: _Tongue) -> None:
        super().__init__()
        self.code, self._stop, self._stem, self._forms = tongue

    def __missing__(self, word: str) -> str:
        term = self[word] = "" if word in self._stop else self._stem(self._forms.get(word, word))
        return term

    def of_stopped(self, words: Iterable[str]) -> tuple[str, ...]:
        """The terms of stop words."""
        return tuple([self._stem(self._forms.get(word, word)) for word in words])


class _Tongues(threading.local):
    """The tongues of one thread: a stemmer holds state and may not serve two."""

    def __init__(self) -> None:
        self.known: dict[tuple[str | None, str], _Tongue] = {}


_tongues = _Tongues()


def _tongue(language: str | None, script: str) -> _Tongue:
    """The tongue for words of the script in a text of the language."""
    known = _tongues.known
    found = known.get((language, script))
    if found is None:
        code = check_language(language or "en")
        if language is not None and language != code:
            return _tongue(code, script)
        found = known[language, script] = _new_tongue(code if script in _WRITTEN.get(code, ("en",)) else script)
    return found


def _new_tongue(code: str) -> _Tongue:
    stop = frozenset(_stop_words().get({"nb": "no", "nn": "no"}.get(code, code), ()))
    if code not in _SNOWBALL:
        return _Tongue(code, stop, str, {})
    # Without the stemmer's cache: it is no faster here, and erased words would live on in it.
    stem = importlib.import_module("Stemmer").Stemmer(_SNOWBALL[code], 0).stemWord
    return _Tongue(code, stop, stem, english_forms() if code == "en" else {})


def _in_each(words: Sequence[str], languages: Sequence[str], *, stopped: bool) -> tuple[str, ...]:
    """The terms of each word in every language; of plain words those of a language are made together."""
    plain = {word for word in words if word.isascii() and "'" not in word}
    stems = [_stem_of(plain, _tongue(code, "en"), stopped=stopped) for code in languages]
    terms: list[str] = []
    for word in words:
        for code, stem_of in zip(languages, stems, strict=True):
            terms += stem_of.get(word, ()) if word in plain else _terms([word], code, stopped=stopped)
    return tuple(dict.fromkeys(terms))


def _stem_of(words: Iterable[str], tongue: _Tongue, *, stopped: bool) -> dict[str, tuple[str, ...]]:
    kept = [word for word in words if not (stopped and word in tongue.stop)]
    return {word: (stem,) for word, stem in zip(kept, tongue.terms(kept), strict=True) if stem}


def _terms(words: list[str], language: str | None, *, stopped: bool = True, singles: bool = False) -> list[str]:
    """The terms of the words, of which the parts in different scripts are words of their own."""
    runs = [run for word in words for run in ((word,) if word.isascii() else _runs().findall(word))]
    terms: list[str] = []
    for script, group in groupby(runs, _script_of_word):
        if script in _DENSE or script == _OTHER:
            stop = _dense_stop_words() if stopped else frozenset()
            split = list if script in _SQUARE else _units().findall
            terms += [gram for run in group for gram in _grams(split(run), singles=singles) if gram not in stop]
        else:
            terms += _stems(group, _tongue(language, script), stopped=stopped)
    return terms


def _stems(words: Iterable[str], tongue: _Tongue, *, stopped: bool) -> list[str]:
    stop = tongue.stop if stopped else frozenset()
    parts = [part for word in words for part in (_parts(word, tongue.code) if "'" in word else (word,))]
    kept = [part for part in parts if part not in stop]
    if tongue.code == "en":  # its stemmer knows no accents, and would take "résumé" for another word than "resume"
        return [term for term in tongue.terms(map(_folded, kept)) if term]
    return [term for term in map(_folded, tongue.terms(kept)) if term]


def _folded(word: str) -> str:
    if word.isascii() or _script(word[0]) not in _FOLDED:
        return word
    letters = unicodedata.normalize("NFD", word)
    bare = "".join([char for char in letters if char < "\u0300" or unicodedata.category(char) != "Mn"])
    return unicodedata.normalize("NFC", bare.translate(_UNDECOMPOSED))


# Scripts whose words cannot be told apart.


@cache
def _runs() -> re.Pattern[str]:
    spans = [_span(_SQUARE), _span(_STACKED), _span(frozenset((_OTHER,)))]
    return re.compile("|".join(f"[{span}]+" for span in spans) + f"|[^{''.join(spans)}]+")


def _span(scripts: frozenset[str]) -> str:
    blocks = zip(_SCRIPTS, _SCRIPT_STARTS[1:], strict=False)
    return "".join(f"{chr(start)}-{chr(end - 1)}" for (start, script), end in blocks if script in scripts)


@cache
def _units() -> re.Pattern[str]:
    """One written unit: a letter with its marks, and in Thai, Lao, Khmer and Burmese what cannot stand without it.

    That is the vowels written before and after it, and the letters stacked below it.
    """
    marks = _marks()
    stacked = rf"(?:(?<=[\u1039\u17d2])[^{marks}][{marks}]*)*"
    return re.compile(rf"[เแโใไເແໂໃໄ]*[^{marks}][{marks}]*{stacked}[ะาๅๆຯະາໆ]*|[{marks}]+")


def _grams(units: list[str], *, singles: bool) -> list[str]:
    """The overlapping pairs of the units of a run, or its only unit.

    A document (``singles``) also gives each Han character and Korean syllable by itself: such a one may be a word, and
    a query for it alone must find it. A longer query asks only for the pairs, so that the singles add no noise.
    """
    if len(units) == 1:
        return units
    pairs = [first + second for first, second in pairwise(units)]
    return pairs + [unit for unit in units if _script(unit[0]) in _SINGLES] if singles else pairs


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return _SCRIPTS[bisect_right(_SCRIPT_STARTS, ord(char)) - 1][1]


def _script_of_word(word: str) -> str:
    return _script(word[0]) or "en"


# Telling the language.


def _main_script(text: str) -> str:
    counts: Counter[str] = Counter()
    for char, times in Counter(text).items():
        counts[_script(char)] += times
    del counts[""], counts[_OTHER]
    japanese = counts["ja"] > 0
    for script in ("zh", "ja", "ko"):
        counts[script] *= 3  # one of these characters says as much as three letters
    script = max(counts, key=counts.__getitem__) if counts.total() else ""
    return "ja" if script == "zh" and japanese else script


def _sample(words: list[str]) -> list[str]:
    """The words of an ASCII text that tell its language."""
    sample = words[:800]
    joined = "".join(sample)
    return " ".join(sample).replace("'", " ").split() if "'" in joined else sample


def _voted(words: Iterable[str]) -> str | None:
    """The language that most of the words speak for, if there is one."""
    ballot = _ballot()
    asked = set(words)
    voters = asked & ballot.voters
    # One function word in fifteen is the least that any language has. English, being first, wins where it is even; any
    # other needs more than a single word says that two languages share.
    least = 4 * len(asked)
    both = sum(map(ballot.english.__getitem__, voters))
    english, others = both & _ENGLISH, both >> 32
    if english >= others:  # no other can have more, so there is no need to count them
        return "en" if english and english >= least else None
    votes = ballot.counted(voters)
    most = max(votes)
    language = ballot.codes[votes.index(most)]
    return language if most >= least and most > (0 if language == "en" else _VOTES // 2) else None


class _Ballot(NamedTuple):
    """What each function word says of the language of a text."""

    codes: tuple[str, ...]
    voters: frozenset[str]
    votes: dict[str, int]  # of a word for all languages at once: each has 16 bits, in the order of the codes
    english: dict[str, int]  # its votes for English, and from bit 32 on the most that it has for any other

    def counted(self, voters: Iterable[str]) -> tuple[int, ...]:
        """The votes of some words, by language."""
        total = sum(map(self.votes.__getitem__, voters))
        return struct.unpack(f"<{len(self.codes)}H", total.to_bytes(2 * len(self.codes), "little"))


@cache
def _ballot() -> _Ballot:
    """For each function word its votes: 60, shared by its languages.

    One that is a word or a name in English too ("end", "Mia") has a third: it says nothing for English, but little for
    the others.
    """
    extra, weak = _word_lists()["votes"], _word_lists()["weak"]["en"]
    voters = {code: words | extra.get(code, frozenset()) for code, words in _stop_words().items() if _latin(code)}
    shares = Counter(word for words in voters.values() for word in words)
    shares.update({word: 2 * shares[word] for word in weak})
    votes: dict[str, int] = {}
    english: dict[str, int] = {}
    for place, (code, words) in enumerate(voters.items()):
        for word in words:
            share = _VOTES // shares[word]
            votes[word] = votes.get(word, 0) + (share << 16 * place)
            english[word] = english.get(word, 0) | (share if code == "en" else share << 32)
    shared = {number: number for number in votes.values()}  # few: as one object each they stay in the processor's cache
    return _Ballot(tuple(voters), frozenset(votes), {word: shared[number] for word, number in votes.items()}, english)


def _latin(code: str) -> bool:
    return "en" in _WRITTEN.get(code, ("en",))


def _stop_words() -> dict[str, frozenset[str]]:
    return _word_lists()["stop"]


@cache
def _dense_stop_words() -> frozenset[str]:
    return frozenset().union(*(_stop_words()[code] for code in _DENSE if code in _stop_words()))


@cache
def _word_lists() -> dict[str, dict[str, frozenset[str]]]:
    from importlib import resources  # at import it would cost more than the rest of this module

    text = resources.files("pymemos.infrastructure").joinpath("stopwords.json").read_text(encoding="utf-8")
    lists: dict[str, dict[str, str]] = json.loads(text)
    return {use: {code: frozenset(_cleaned(words).split()) for code, words in of.items()} for use, of in lists.items()}
