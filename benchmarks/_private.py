"""Made-up lines with personal data and secrets in them, and as many ordinary lines that look a little like it."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._texts import Texts
from benchmarks.report import Skip

POSITIVE, CLEAN = 3_000, 2_400
LOCALES = (
    "en_US en_GB en_CA en_AU en_IN en_NZ de_DE de_AT de_CH fr_FR fr_CH es_ES es_MX es_AR es_CL it_IT pt_PT pt_BR nl_NL "
    "nl_BE pl_PL sv_SE fi_FI no_NO da_DK cs_CZ hu_HU ro_RO hr_HR et_EE lv_LV el_GR tr_TR ru_RU uk_UA zh_CN ja_JP ko_KR"
).split()
# Where the generator's ``ssn`` is the country's own number with its check digits.
CHECKED_IDS = (
    "en_US en_CA de_AT de_CH fr_FR fr_CH es_AR it_IT pt_BR nl_NL nl_BE pl_PL sv_SE fi_FI no_NO ro_RO hr_HR et_EE lv_LV "
    "el_GR tr_TR zh_CN ko_KR"
).split()


@dataclass(frozen=True, slots=True)
class Line:
    """A text, and where in it something is to be found: start, end, kind."""

    text: str
    spans: tuple[tuple[int, int, str], ...] = ()


def load(path: Path) -> list[Line]:
    """The lines of a file: ``text``, and ``spans`` as objects or lists of start, end and kind."""
    return [_line(json.loads(raw)) for raw in path.read_text("utf-8").splitlines() if raw.strip()]


def _line(raw: dict[str, Any]) -> Line:
    return Line(raw["text"], tuple(_span(one, raw["text"]) for one in raw.get("spans") or ()))


def _span(one: Any, text: str) -> tuple[int, int, str]:
    if isinstance(one, list):
        return one[0], one[1], str(one[2]) if len(one) > 2 else ""
    kind = next((str(one[name]) for name in ("kind", "type", "label", "entity", "entity_type") if name in one), "")
    value = one.get("value") or one.get("text")
    start = one["start"] if "start" in one else text.index(value)
    return start, one["end"] if "end" in one else start + len(value), kind


def corpus(seed: int = 11) -> list[Line]:
    """Both sorts of lines, in a mixed order; the same for the same seed and version of Faker."""
    draw = random.Random(seed)
    lines = [*_positive(draw), *_clean(draw)]
    draw.shuffle(lines)
    return lines


# Lines with something in them.

Maker = Callable[[random.Random, dict[str, Any]], str]
FRAMES: dict[str, tuple[str, ...]] = {
    "email": (
        "You can write to {} any time.", "Her address is {}, she reads it daily.", "cc {} on this please", "{}",
        "Signed up as <{}> last spring.", "Contact: {}; we answer within a day.", "Schreib mir an {} bitte.",
        "mail={}&page=2",
    ),
    "phone": (
        "Call me on {} after six.", "My number is {}.", "Tel. {}", "phone: {}", "You can reach him at {} or not at all.",
        "Text {} when you are outside.", "Ruf mich unter {} an.", "Mon téléphone : {}", "The office moved; it is {} now.",
        "Llámame al {}.", "WhatsApp {} works best.", "Emergency contact Ann, {}.",
    ),
    "card": (
        "I paid with {} yesterday.", "Card number: {}", "Charge {} exp 09/28 please.", "{} was declined twice.",
        "Visa {} is about to expire.", "Meine Karte {} wurde gesperrt.", "The card on file, {}, is hers.",
    ),
    "iban": (
        "Send the rent to {}.", "IBAN: {}", "Account {} is in my name.", "Bitte auf {} überweisen.", "{} (joint account)",
    ),
    "national_id": (
        "My national ID is {}.", "ID number: {}", "Her social security number is {}.", "Tax id {} is on the form.",
        "The identity card says {}, issued in May.", "personal number {}", "Patient {}: insurance confirmed, id checked.",
    ),
    "ip": (
        "The server answers at {}.", "Login from {} at noon.", "ssh into {} and restart it.", "Blocked {} for a day.",
        "client={} status=200", "My address at home is {}, I think.", "ping {}",
    ),
    "api_key": (
        "The key is {}, keep it.", "OPENAI_API_KEY={}", "api_key: {}", "I pasted {} into the chat by mistake.",
        'config["api_key"] = "{}"', "export SERVICE_KEY='{}'",
    ),
    "token": (
        "Authorization: Bearer {}", "token={}", "Use {} to push.", "my access token is {}", 'headers = {{"token": "{}"}}',
    ),
    "private_key": ("{}", "Deploy key:\n{}\nthanks", "Here is id_rsa: {}"),
    "password": ("DATABASE_URL=postgres://{}@db.internal:5432/app", "mongodb+srv://{}@cluster0.example.net/prod",
                 "git clone https://{}@example.com/team/app.git"),
}  # fmt: skip


def _positive(draw: random.Random) -> Iterator[Line]:
    fakers, texts = _fakers(draw), Texts(draw.randrange(1_000))
    kinds = [kind for kind in FRAMES for _ in range(3 if kind in ("phone", "national_id", "email") else 2)]
    for _ in range(POSITIVE):
        line = _framed(draw, fakers, draw.choice(kinds))
        if draw.random() < 0.2:  # two in one text
            line = _joined(line, _framed(draw, fakers, draw.choice(kinds)))
        yield _joined(line, Line(texts.message())) if draw.random() < 0.4 else line


def _fakers(draw: random.Random) -> dict[str, Any]:
    try:
        from faker import Faker
    except ImportError as error:
        raise Skip("Faker is not installed: pip install 'pymemos[dev]'") from error
    made = {}
    for locale in LOCALES:
        made[locale] = Faker(locale)
        made[locale].seed_instance(draw.randrange(1 << 30))
    return made


def _framed(draw: random.Random, fakers: dict[str, Any], kind: str) -> Line:
    frame, value = draw.choice(FRAMES[kind]), MAKERS[kind](draw, fakers)
    before, _, after = frame.partition("{}")
    before, after = before.replace("{{", "{"), after.replace("}}", "}")
    return Line(before + value + after, ((len(before), len(before) + len(value), kind),))


def _joined(one: Line, other: Line) -> Line:
    behind = len(one.text) + 1
    moved = tuple((start + behind, end + behind, kind) for start, end, kind in other.spans)
    return Line(f"{one.text} {other.text}", one.spans + moved)


def _email(draw: random.Random, fakers: dict[str, Any]) -> str:
    fake = fakers[draw.choice(LOCALES)]
    usual = [fake.email(), fake.company_email(), fake.free_email(), fake.ascii_safe_email()]
    local, _, domain = draw.choice(usual).partition("@")
    odd = [f"{local}+news@{domain}", f'"{local} x"@{domain}', f"{local}@mail.{domain}", f"{local}@bücher.example",
           f"{local}_{draw.randint(1, 99)}@{domain}".upper()]  # fmt: skip
    return draw.choice(odd) if draw.random() < 0.2 else f"{local}@{domain}"


def _phone(draw: random.Random, fakers: dict[str, Any]) -> str:
    return str(fakers[draw.choice(LOCALES)].phone_number())


def _card(draw: random.Random, fakers: dict[str, Any]) -> str:
    types = ("visa", "visa16", "mastercard", "amex", "discover", "jcb16", "diners")
    number = str(fakers["en_US"].credit_card_number(draw.choice(types)))
    joint = draw.choice((" ", "-", "", ""))
    if len(number) == 16:
        return joint.join(number[at : at + 4] for at in range(0, 16, 4))
    return joint.join((number[:4], number[4:10], number[10:])) if len(number) in (14, 15) else number


def _iban(draw: random.Random, fakers: dict[str, Any]) -> str:
    number = str(
        fakers[draw.choice("en_GB de_DE fr_FR es_ES it_IT nl_NL pl_PL no_NO fi_FI de_CH tr_TR".split())].iban()
    )
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if draw.random() < 0.5 else number


def _national_id(draw: random.Random, fakers: dict[str, Any]) -> str:
    other = (lambda: fakers["es_ES"].nif(), lambda: fakers["es_ES"].nie(), lambda: fakers["pl_PL"].pesel(),
             lambda: fakers["pt_BR"].cpf(), lambda: fakers["es_MX"].curp(), lambda: fakers["en_IN"].aadhaar_id())  # fmt: skip
    if draw.random() < 0.25:
        return str(draw.choice(other)())
    return str(fakers[draw.choice(CHECKED_IDS)].ssn())


def _ip(draw: random.Random, fakers: dict[str, Any]) -> str:
    fake = fakers["en_US"]
    short = f"2001:db8::{draw.randrange(1, 65_535):x}:{draw.randrange(1, 65_535):x}"
    return str(draw.choice((fake.ipv4(), fake.ipv4_private(), fake.ipv4_public(), fake.ipv6(), short)))


_ALNUM, _URL = string.ascii_letters + string.digits, string.ascii_letters + string.digits + "-_"


def _signs(draw: random.Random, count: int, of: str = _ALNUM) -> str:
    return "".join(draw.choices(of, k=count))


def _api_key(draw: random.Random, fakers: dict[str, Any]) -> str:
    made = (
        "AKIA" + _signs(draw, 16, string.ascii_uppercase + string.digits), "AIza" + _signs(draw, 35, _URL),
        "sk-" + _signs(draw, 48), "sk-proj-" + _signs(draw, 64, _URL), "sk-ant-api03-" + _signs(draw, 93, _URL),
        "sk_live_" + _signs(draw, 24), "rk_test_" + _signs(draw, 24), "whsec_" + _signs(draw, 32),
        "SG." + _signs(draw, 22, _URL) + "." + _signs(draw, 43, _URL), "key-" + _signs(draw, 32, "0123456789abcdef"),
        "gsk_" + _signs(draw, 52),
    )  # fmt: skip
    return _bounded(draw, draw.choice(made))


def _token(draw: random.Random, fakers: dict[str, Any]) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(json.dumps({"sub": draw.randrange(10**9), "iat": 1_700_000_000}).encode()).decode()
    made = (
        "ghp_" + _signs(draw, 36), "github_pat_" + _signs(draw, 22) + "_" + _signs(draw, 59),
        "glpat-" + _signs(draw, 20, _URL), f"xoxb-{_signs(draw, 12, string.digits)}-{_signs(draw, 24)}",
        "npm_" + _signs(draw, 36), "hf_" + _signs(draw, 34), "ya29." + _signs(draw, 80, _URL),
        f"{head}.{body.rstrip('=')}.{_signs(draw, 43, _URL)}", "dop_v1_" + _signs(draw, 64, "0123456789abcdef"),
    )  # fmt: skip
    return _bounded(draw, draw.choice(made))


def _bounded(draw: random.Random, made: str) -> str:
    """The same with a letter or digit at its end: a sign there could not be told from the sentence's own."""
    return made[:-1] + draw.choice(string.digits)


def _private_key(draw: random.Random, fakers: dict[str, Any]) -> str:
    kind = draw.choice(("RSA ", "", "EC ", "OPENSSH ", "ENCRYPTED "))
    rows = "\n".join(_signs(draw, 64, _ALNUM + "+/") for _ in range(draw.randint(3, 12)))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{rows}\n-----END {kind}PRIVATE KEY-----"


def _password(draw: random.Random, fakers: dict[str, Any]) -> str:
    return f"{fakers['en_US'].user_name()}:{_signs(draw, draw.randint(8, 20), _ALNUM + '!$*_-')}"


MAKERS: dict[str, Maker] = {
    "email": _email, "phone": _phone, "card": _card, "iban": _iban, "national_id": _national_id, "ip": _ip,
    "api_key": _api_key, "token": _token, "private_key": _private_key, "password": _password,
}  # fmt: skip


# Lines with nothing in them.


def _clean(draw: random.Random) -> Iterator[Line]:
    texts = Texts(draw.randrange(1_000))
    for number in range(CLEAN):
        odd = draw.choice(HARD)(draw) if number % 3 else ""
        yield Line(" ".join(part for part in (odd, texts.message() if number % 3 != 1 else "") if part))


def _number(draw: random.Random, digits: int) -> str:
    return str(draw.randrange(10 ** (digits - 1), 10**digits))


def _hex(draw: random.Random, count: int) -> str:
    return _signs(draw, count, "0123456789abcdef")


def _uuid(draw: random.Random) -> str:
    return "-".join(_hex(draw, count) for count in (8, 4, 4, 4, 12))


def _version(draw: random.Random) -> str:
    return ".".join(str(draw.randint(0, 30)) for _ in range(draw.choice((3, 4))))


def _clock(draw: random.Random) -> str:
    return f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:{draw.randint(0, 59):02}"


def _date(draw: random.Random) -> str:
    year, month, day = draw.randint(1950, 2030), draw.randint(1, 12), draw.randint(1, 28)
    return draw.choice((f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{month}/{day}/{year}",
                        f"{day:02}-{month:02}-{year}", f"{year}{month:02}{day:02}"))  # fmt: skip


HARD: tuple[Callable[[random.Random], str], ...] = (
    lambda draw: f"Order number {_number(draw, draw.choice((8, 9, 10, 11, 12, 13, 16)))} has shipped.",
    lambda draw: f"Invoice #{_number(draw, 10)} is due on {_date(draw)}.",
    lambda draw: f"The tracking code is {_number(draw, 12)}, it arrives on {_date(draw)}.",
    lambda draw: f"ISBN 978-{draw.randint(0, 9)}-{_number(draw, 4)}-{_number(draw, 4)}-{draw.randint(0, 9)} is out of print.",
    lambda draw: f"We met on {_date(draw)} at {_clock(draw)} and again on {_date(draw)}.",
    lambda draw: f"Upgrade to version {_version(draw)} before the {_date(draw)} release.",
    lambda draw: f"It broke between v{_version(draw)} and v{_version(draw)}.",
    lambda draw: f"The flat costs {draw.randint(100, 999)},{draw.randint(0, 999):03}.00 euros, or $1,{_number(draw, 3)},{_number(draw, 3)}.",
    lambda draw: f"We stood at {draw.uniform(-90, 90):.4f}, {draw.uniform(-180, 180):.4f} and saw the sea.",
    lambda draw: f"Commit {_hex(draw, 40)} fixed it; {_hex(draw, 7)} had broken it.",
    lambda draw: f"The request {_uuid(draw)} failed.",
    lambda draw: f"Meet in room {draw.randint(1, 9)}.{_number(draw, 3)}, building {draw.randint(1, 40)}.",
    lambda draw: f"They won {draw.randint(4, 7)}-{draw.randint(0, 6)} {draw.randint(4, 7)}-{draw.randint(0, 6)} 7-6 after three hours.",
    lambda draw: f"The score was {draw.randint(60, 130)}-{draw.randint(60, 130)}, the season {draw.randint(1990, 2020)}-{draw.randint(1990, 2020)}.",
    lambda draw: f"Ping @{draw.choice(('ana', 'bo', 'carla'))}_{draw.randint(1, 99)} about lodash@4.{draw.randint(0, 30)}.{draw.randint(0, 30)}.",
    lambda draw: f"sha256:{_hex(draw, 64)} is the digest of the image.",
    lambda draw: f"There were {_number(draw, 3)} {_number(draw, 3)} people in {draw.randint(1900, 2024)}.",
    lambda draw: f"It took {_number(draw, 9)} ns, which is {draw.uniform(0, 9):.6f} of the budget.",
    lambda draw: f"Flight {draw.choice(('LH', 'BA', 'TP'))} {_number(draw, 4)} leaves at {draw.randint(0, 23)}:{draw.randint(10, 59)}.",
    lambda draw: f"The seat is {draw.randint(1, 40)}{draw.choice('ABCDEF')}, the booking {_signs(draw, 6, string.ascii_uppercase + string.digits)}.",
    lambda draw: f"unix time {_number(draw, 10)} or {_number(draw, 13)} in milliseconds",
    lambda draw: f"Use std::vector<int> and foo::bar, then sleep {_clock(draw)}.",
    lambda draw: f"The MAC is {':'.join(_hex(draw, 2) for _ in range(6))}, says the label.",
    lambda draw: "The password must have at least twelve characters, and the token expires tomorrow.",
    lambda draw: "Set api_key=YOUR_API_KEY and password=${DB_PASSWORD} in the file, she said.",
    lambda draw: f"Serial number {_signs(draw, 4, string.ascii_uppercase)}{_number(draw, 8)}, part {_number(draw, 3)}-{_number(draw, 5)}.",
    lambda draw: f"The paper is arXiv:{_number(draw, 4)}.{_number(draw, 5)}, doi 10.{_number(draw, 4)}/{_number(draw, 7)}.{_number(draw, 4)}.",
    lambda draw: f"Open logo@2x.png, it is {_number(draw, 6)} bytes of git@github.com:team/app.git.",
    lambda draw: f"Chapter {draw.randint(1, 9)}.{draw.randint(1, 9)}.{draw.randint(1, 9)}.{draw.randint(1, 9)} is the longest of them.",
    lambda draw: f"The postcode is {_number(draw, 5)}, the population {_number(draw, 7)}.",
    lambda draw: f"Python {_version(draw)} on {draw.randint(2, 64)} cores took {draw.randint(1, 9)} h {draw.randint(1, 59)} min.",
    lambda draw: f"Mix {_number(draw, 3)} g of flour, {_number(draw, 3)} ml of milk and bake at {draw.randint(150, 250)} degrees.",
)  # fmt: skip
