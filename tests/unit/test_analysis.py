"""The tests of text analysis are examples in many scripts, and laws that hold for any text."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import unicodedata
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymemos.errors import InvalidInput
from pymemos.infrastructure import analysis
from pymemos.infrastructure.analysis import (
    LANGUAGES,
    Reader,
    check_language,
    detect_language,
    document_terms,
    facet_terms,
    query_terms,
)

SCRIPTS = [
    # language, a text, a query that finds it, a text that it must not find
    ("zh", "昨天我和朋友去了北京的一家书店。", "北京书店", "他每天早上喝咖啡。"),
    ("ja", "昨日は友達と寿司を食べました。", "寿司を食べた", "猫が窓で眠る。"),
    ("th", "เมื่อวานฉันไปกินข้าวที่ร้านอาหาร", "ร้านอาหาร", "แมวนอนหลับ"),
    ("ru", "Вчера мы с братом купили новые книги.", "книга брата", "Кошка спит на окне."),
    ("ar", "ذهبت أمس إلى المكتبة الكبيرة", "المكتبة", "القطة تنام قرب النافذة"),
    ("hi", "मैंने कल नई किताबें खरीदीं", "किताब", "बिल्ली सो रही है"),
    ("ko", "나는 어제 친구와 학교에서 책을 읽었다", "학교 친구", "고양이는 잠을 잔다"),
    ("el", "Χθες πήγα στη βιβλιοθήκη με την αδελφή μου", "βιβλιοθηκη", "Η γάτα κοιμάται"),
    ("he", "אתמול הלכתי לספרייה עם אחותי", "לספרייה", "החתול ישן"),
    ("hy", "Երեկ ես գնացի գրադարան", "գրադարան", "Կատուն քնում է"),
    ("ta", "நேற்று நான் நூலகம் சென்றேன்", "நூலகம்", "பூனை தூங்குகிறது"),
    ("km", "ខ្ញុំរៀនភាសាខ្មែរ", "ភាសាខ្មែរ", "ឆ្មាកំពុងដេក"),
    ("my", "မြန်မာဘာသာစကား", "မြန်မာ", "ကြောင်အိပ်"),
    ("lo", "ຂ້ອຍໄປຮ້ານອາຫານ", "ຮ້ານອາຫານ", "ແມວນອນຫຼັບ"),
    ("en", "Yesterday my brother and I moved to Boston.", "moving to Boston", "The cat sleeps."),
]
UNLISTED = [  # a text in a script that no language of ours is written in, a part of it, a text without that
    ("ꆈꌠꁱꂷꉬ", "ꁱꂷ", "ꀀꀁ"),
    ("ꦧꦱꦗꦮ", "ꦱꦗ", "ꦏꦴꦤ"),
    ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ᏣᎳᎩ", "ᎤᏩᏌ"),
    ("𒀭𒂗𒆤", "𒂗𒆤", "𒈗"),
]

SENTENCES = {
    "en": "I think that she was there with her brother",
    "de": "Gestern war ich mit meinem Bruder in der Stadt",
    "fr": "J'habite à Paris avec ma sœur et je suis content",
    "es": "Vivo en Madrid con mi hermana y no tengo coche",
    "it": "Abito a Roma con mia sorella e non ho la macchina",
    "pt": "Moro em Lisboa com a minha irmã e não tenho carro",
    "nl": "Ik woon met mijn zus in Amsterdam en heb geen auto",
    "sv": "Jag bor i Stockholm med min syster och har ingen bil",
    "da": "Hvad laver du, og hvorfor har du ikke noget med?",
    "no": "Hva gjør du, og hvorfor har du ikke noe med deg?",
    "fi": "Minä asun Helsingissä ja pidän kahvista",
    "pl": "Mieszkam w Warszawie i nie lubię kawy",
    "tr": "Ankara'da yaşıyorum ve kahve çok severim",
    "cs": "Bydlím v Praze a nemám rád kávu",
    "ro": "Locuiesc în București și nu îmi place cafeaua",
    "hu": "Budapesten lakom és nem szeretem a kávét",
    "id": "Saya tinggal di Jakarta dan tidak suka kopi",
    "ca": "Visc a Barcelona amb la meva germana",
    "fa": "من دیروز یک کتاب خریدم و گفتم",
    "uk→ru": "Мій брат живе у Києві",
}

CONFLATED = [
    ("en", "moved", "moving"),
    ("en", "families", "family"),
    ("de", "Häuser", "Haus"),
    ("es", "hablando", "hablar"),
    ("fr", "chanter", "chantait"),
    ("it", "parlando", "parlare"),
    ("pt", "casas", "casa"),
    ("nl", "boeken", "boek"),
    ("sv", "böckerna", "böcker"),
    ("ru", "книги", "книга"),
    ("ru", "ёлка", "елка"),
    ("fi", "talossa", "talo"),
    ("hi", "किताबें", "किताब"),
    ("en", "café", "cafe"),
    ("en", "NAÏVE", "naive"),
    ("en", "Łódź", "lodz"),
    ("en", "résumés", "resume"),
    ("en", "clichés", "cliches"),
    ("en", "ngày", "ngay"),
    ("de", "Straße", "Strasse"),
    ("tr", "İstanbul'da", "istanbul"),
    ("en", "Ann's", "Ann"),
    ("en", "Ann’s", "ann"),
    ("en", "ﬁne", "fine"),
    ("fr", "l'amour", "amour"),
    ("it", "dell'arte", "arte"),
    ("ru", "п’ять", "пять"),
    ("ar", "كِتَاب", "كتاب"),
    ("fa", "می‌خواهم", "میخواهم"),
    ("en", "٢٠٢٣", "2023"),
    ("en", "２０２３", "2023"),
    ("en", "$1,200", "1200"),
    ("en", "8th", "8"),
    ("sr", "ђак", "đak"),
]

GRAMMAR = re.compile(r"(?:[a-z0-9-]|[^\x00-\x7f])+")
KINDS = frozenset("LMN")
ANY_TEXT = st.one_of(
    st.text(alphabet=st.characters(categories=None, exclude_categories=())),
    st.text(alphabet=st.sampled_from("aABb'’s t0159,-_İıßéЯй々猫の책กำเ्किक\u0301\u200d\ud800\U00020000")),
    st.lists(st.sampled_from([text for row in SCRIPTS for text in row[1:]])).map(" ".join),
    st.lists(st.sampled_from(["2023-05-08", "don't", "the", "1,200", "8th", "it's", "der", "l'eau"])).map(" ".join),
)
ASCII_TEXT = st.lists(
    st.sampled_from(
        "The cats' moving WASN'T there on 8th May 2023-05-08, and der Hund ist nicht la casa es x'y".split()
    )
).map(" ".join)
ANY_LANGUAGE = st.sampled_from(sorted(LANGUAGES))


@pytest.mark.parametrize(("language", "text", "query", "other"), SCRIPTS, ids=[row[0] for row in SCRIPTS])
def test_a_text_in_any_script_is_found_by_its_words_and_no_other_is(
    language: str, text: str, query: str, other: str
) -> None:
    wanted = set(query_terms(query, [language]))
    assert wanted & set(document_terms(text, language))
    assert not wanted & set(document_terms(other, language))


@pytest.mark.parametrize("row", SCRIPTS, ids=[row[0] for row in SCRIPTS])
def test_the_script_decides_the_language(row: tuple[str, str, str, str]) -> None:
    language, text, _, other = row
    assert detect_language(text) == language
    assert detect_language(other) == language


@pytest.mark.parametrize(("language", "text"), SENTENCES.items(), ids=SENTENCES)
def test_function_words_decide_the_language(language: str, text: str) -> None:
    assert detect_language(text) == language[-2:]


@pytest.mark.parametrize("text", ["", "  ", "12:30", "→ ❤️", "१२३", "Paris", "\ud800"])
def test_no_evidence_is_no_language(text: str) -> None:
    assert detect_language(text) is None


@pytest.mark.parametrize("text", ["Max won ten medals", "Tom sits on a mat", "Sara met Per", "Did he die?", "I am in"])
def test_short_english_is_not_taken_for_another_language(text: str) -> None:
    assert detect_language(text) == "en"


@pytest.mark.parametrize(
    "text",
    [
        "Contract end date: June", "Mia birthday party", "Dog food list", "One more thing", "Door code 4711",
        "Sea view room", "Shoe size 42", "Ben Kim called", "Dog bag", "Allen Street", "Los Angeles", "Ella Von Trapp",
        "Mon 10am dentist", "Logo colors", "Add-ons and sign-ins", "J. K. Smith", "VA loan, CO detector", "EU office",
    ],
)  # fmt: skip
def test_a_function_word_that_is_an_english_word_or_a_name_does_not_decide_the_language(text: str) -> None:
    assert detect_language(text) in ("en", None)


@pytest.mark.parametrize("text", ["Je Paris", "Juan y Ana", "Uno Berlin"])
def test_a_single_word_that_several_languages_have_does_not_decide_the_language(text: str) -> None:
    assert detect_language(text) is None


@pytest.mark.parametrize(
    ("language", "text"),
    [("de", "Passwort nicht vergessen"), ("fr", "Je suis malade"), ("it", "Anna è mia amica"), ("pl", "Jestem w domu"),
     ("es", "Los gatos están con Ana"), ("nl", "Zij woont in Utrecht"), ("da", "Jeg har end ikke set ham")],
)  # fmt: skip
def test_a_word_of_one_language_alone_or_two_that_agree_decide(language: str, text: str) -> None:
    assert detect_language(text) == language


def test_a_few_foreign_characters_do_not_decide_the_language() -> None:
    assert detect_language("I think that we had 寿司 when we were in Tokyo") == "en"
    assert detect_language("今日はgoogle cloudのテストです") == "ja"


@pytest.mark.parametrize(("language", "one", "other"), CONFLATED)
def test_forms_of_a_word_are_one_term(language: str, one: str, other: str) -> None:
    assert document_terms(one, language) == document_terms(other, language) != ()


def test_words_of_another_script_are_found_whatever_the_language_of_the_text() -> None:
    text = "She bought книги and ate 寿司"
    assert set(query_terms("книга", ["ru"])) <= set(document_terms(text, "en"))
    assert set(query_terms("寿司", ["ja"])) <= set(document_terms(text, "en"))
    assert set(query_terms("moving", ["en"])) <= set(document_terms("он moved туда", "ru"))


def test_a_single_han_character_or_korean_syllable_finds_the_texts_that_hold_it() -> None:
    assert set(query_terms("猫", ["zh"])) <= set(document_terms("我家有一只猫咪", "zh"))
    assert set(query_terms("책", ["ko"])) <= set(document_terms("어제 책을 읽었다", "ko"))
    assert query_terms("北京书店", ["zh"]) == ("北京", "京书", "书店")


def test_a_vowel_sign_never_stands_alone() -> None:
    for text in ("เมื่อวานน้ำแข็ง", "ខ្ញុំរៀនភាសាខ្មែរ", "မြန်မာဘာသာ", "मैंने किताबें"):
        for term in document_terms(text, None):
            assert unicodedata.category(term[0]).startswith("L")
    assert query_terms("น้ำ", ["th"]) == query_terms("น้ํา", ["th"])


def test_stop_words_are_left_out_of_documents_and_queries() -> None:
    assert document_terms("She didn't know that it's the cat's", "en") == ("know", "cat")
    assert query_terms("What did Ann say, isn’t it?", ["en"]) == ("ann", "say")
    assert document_terms("Das Haus ist nicht in der Stadt", "de") == ("haus", "stadt")


@pytest.mark.parametrize(("text", "part", "other"), UNLISTED)
def test_a_text_in_a_script_of_no_known_language_is_found_by_its_parts(text: str, part: str, other: str) -> None:
    assert detect_language(text) is None
    assert set(query_terms(part, [])) <= set(document_terms(text, None))
    assert not set(query_terms(part, [])) & set(document_terms(other, None))


@pytest.mark.parametrize(
    ("language", "text"), [("en", "Who is it?"), ("it", "perché no"), ("fr", "c'est ça"), ("en", "I am")]
)
def test_a_text_of_stop_words_only_keeps_them(language: str, text: str) -> None:
    assert set(query_terms(text, [language])) == set(document_terms(text, language)) != set()


def test_a_query_of_stop_words_only_keeps_them() -> None:
    assert query_terms("Who is it?", ["en"]) == ("who", "is", "it")
    assert query_terms("don't", ["en"]) == ("dont",)
    assert query_terms("?!", ["en"]) == ()


@pytest.mark.parametrize("word", ["may", "don", "won", "ill", "mine", "march", "like", "home", "work", "second", "ca"])
def test_content_words_are_no_stop_words(word: str) -> None:
    (term,) = document_terms(f"the {word}", "en")
    assert document_terms(f"THE {word.upper()}", None) == (term,)


def test_a_query_asks_in_every_language() -> None:
    both = query_terms("families Häuser families", ["en", "de"])
    assert set(both) == {*query_terms("families Häuser", ["en"]), *query_terms("families Häuser", ["de"])}
    assert both[0] == "famili"
    assert len(set(both)) == len(both)
    assert query_terms("families", []) == ("famili",)


def test_numbers_and_dates() -> None:
    assert document_terms("$1,200 on 2023-05-08T10:30, v2", "en") == ("1200", "2023", "2023-05-08", "t10", "30", "v2")
    assert document_terms("x21st 21st 12023-05-08 2nd", "en") == ("x21st", "21", "12023", "05", "08", "2")
    assert document_terms("2023-13-45 a-b", "en") == ("2023", "13", "45", "b")
    assert document_terms("«2023-05-08»", "fr") == ("2023", "2023-05-08")
    assert document_terms("2023年5月8日", "ja")[:4] == ("2023", "年", "5", "月")


def test_terms_keep_order_and_repetition() -> None:
    assert document_terms("cats dogs cats", "en") == ("cat", "dog", "cat")
    assert query_terms("cats dogs cats", ["en"]) == ("cat", "dog")


def test_a_memory_is_found_by_its_speaker_and_its_date() -> None:
    facets = facet_terms("Will May", date(2023, 5, 8), "en")
    assert facets == ("will", "may", "2023", "may", "8", "2023-05-08")
    for query in ("8 May 2023", "May 8th, 2023", "2023-05-08"):
        assert set(query_terms(query, ["en"])) <= set(facets)
    january = facet_terms(None, date(987, 1, 1), None)
    assert january == ("0987", *query_terms("january", ["en"]), "1", "0987-01-01")
    assert facet_terms(None, None, "en") == ()
    assert facet_terms("José", None, "es") == facet_terms("jose", None, "es")


def test_language_codes_are_checked() -> None:
    assert [check_language(code) for code in ("en", "EN-us", "pt_BR")] == ["en", "en", "pt"]
    assert document_terms("families", "en-GB") == ("famili",)
    for ask in (lambda: check_language("xx"), lambda: document_terms("a b", "xx"), lambda: query_terms("b", ["xx"])):
        with pytest.raises(InvalidInput, match=r"'xx' is not known; use one of .*\bde\b"):
            ask()


def test_every_list_of_stop_words_belongs_to_a_language_and_is_in_the_spelling_of_words() -> None:
    for lists in analysis._word_lists().values():
        assert set(lists) <= LANGUAGES
        assert all(word and not re.search(r"[\s_]", word) for words in lists.values() for word in words)


def test_every_word_that_counts_less_is_a_function_word_of_another_language() -> None:
    stop, votes, weak = (analysis._word_lists()[use] for use in ("stop", "votes", "weak"))

    others = frozenset[str]().union(
        *(words for lists in (stop, votes) for code, words in lists.items() if code != "en")
    )

    assert weak["en"] <= others
    assert not weak["en"] & (stop["en"] | votes["en"])


def test_importing_loads_neither_stemmer_nor_word_lists() -> None:
    path = f"import sys; before = set(sys.modules); sys.path[:] = {sys.path!r}"
    code = f"{path}; import pymemos.infrastructure.analysis; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True).stdout
    assert "pymemos.infrastructure.analysis" in loaded.split()
    assert not {"Stemmer", "importlib.resources"} & set(loaded.split())


def test_threads_do_not_share_stemmers() -> None:
    text = " ".join(row[1] for row in SCRIPTS) * 5
    expected = document_terms(text, "en")
    found: list[tuple[str, ...]] = []
    threads = [
        threading.Thread(target=lambda: found.extend(document_terms(text, "en") for _ in range(20))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80


@settings(deadline=None)
@given(ANY_TEXT, st.one_of(st.none(), ANY_LANGUAGE))
def test_any_text_gives_well_formed_terms(text: str, language: str | None) -> None:
    languages = [] if language is None else [language]
    facets = facet_terms(text, date(2023, 5, 8), language)
    for term in (*document_terms(text, language), *query_terms(text, languages), *facets):
        assert GRAMMAR.fullmatch(term)
        assert all(char == "-" or unicodedata.category(char)[0] in KINDS for char in term)
    assert document_terms(text, language) == document_terms(text, language)
    detected = detect_language(text)
    assert detected is None or detected in LANGUAGES


@settings(deadline=None)
@given(ANY_TEXT, ANY_LANGUAGE)
def test_a_text_as_a_query_asks_for_all_that_the_text_gives(text: str, language: str) -> None:
    """But for the single characters that only documents give."""
    document, query = set(document_terms(text, language)), set(query_terms(text, [language]))
    missing = document - query
    assert all(len(term) == 1 and analysis._script(term) in ("zh", "ko") for term in missing)
    assert not document or query & document


@settings(deadline=None)
@given(ANY_TEXT, ANY_LANGUAGE)
def test_spelling_does_not_matter(text: str, language: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert document_terms(composed, language) == document_terms(unicodedata.normalize("NFD", text), language)


def test_long_and_hostile_text_is_analysed_in_linear_time() -> None:
    start = time.perf_counter()
    for part in ("a", "a'", "1,", "1", "2023-05-", "é\u0301", "เ", "\u0301", "i\u0307", "猫a"):
        text = part * 10**5
        document_terms(text, "en")
        query_terms(text[:1000], ["en"])
        detect_language(text)
    assert time.perf_counter() - start < 20


@settings(deadline=None)
@given(st.lists(st.one_of(ANY_TEXT, ASCII_TEXT), max_size=6), st.one_of(st.none(), ANY_LANGUAGE))
def test_a_reader_of_many_texts_reads_each_as_if_it_were_alone(texts: list[str], language: str | None) -> None:
    reader = Reader(language)
    for text in texts:
        spoken = language or detect_language(text)

        assert reader.read(text) == (spoken, analysis._any_document_terms(text, spoken))


@given(st.lists(st.sampled_from([*sorted(analysis._ballot().voters), "xyzzy", "qux"]), max_size=30))
def test_the_short_cut_for_english_elects_whom_a_count_of_all_votes_elects(words: list[str]) -> None:
    ballot = analysis._ballot()
    votes = ballot.counted(set(words) & ballot.voters)
    most = max(votes)
    language = ballot.codes[votes.index(most)]

    expected = language if most >= 4 * len(set(words)) and most > (0 if language == "en" else 30) else None

    assert expected == analysis._voted(words)
