"""Secrets: keys and tokens by the forms that their issuers publish, private keys, and passwords beside their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log2

from pymemos.cube.privacy import Found, Kind

# By what stands at their beginning: plain texts to look for, which costs little, and then the form.
_B64 = r"[A-Za-z0-9_-]"
_FORMS: tuple[tuple[Kind, tuple[str, ...], str], ...] = (
    (Kind.API_KEY, ("AKIA", "ASIA", "ABIA", "ACCA"), r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
    (Kind.API_KEY, ("AIza",), rf"AIza{_B64}{{35}}"),
    (Kind.API_KEY, ("sk-", "sk_", "rk_", "pk_"), r"(?:sk|rk|pk)_(?:live|test)_[0-9a-zA-Z]{10,99}"),
    (Kind.API_KEY, ("sk-",), rf"sk-(?:(?:proj|svcacct|admin|ant|or|lf)-)?{_B64}{{20,200}}"),
    (Kind.API_KEY, ("SG.",), rf"SG\.{_B64}{{16,32}}\.{_B64}{{32,64}}"),
    (Kind.API_KEY, ("key-",), r"key-[0-9a-f]{32}"),
    (Kind.API_KEY, ("SK", "AC"), r"(?:SK|AC)[0-9a-f]{32}"),
    (Kind.API_KEY, ("gsk_", "xai-", "pplx-", "r8_"), r"(?:gsk_|xai-|pplx-|r8_)[A-Za-z0-9]{30,90}"),
    (Kind.API_KEY, ("NRAK-", "PMAK-", "figd_", "lin_api_", "ntn_", "dapi", "sbp_", "pscale_"),
     rf"(?:NRAK-|PMAK-|figd_|lin_api_|ntn_|dapi|sbp_|pscale_(?:tkn|pw|oauth)_){_B64}{{24,96}}"),
    (Kind.API_KEY, ("whsec_", "GOCSPX-", "EAACEdEose0cBA", "sq0"),
     rf"(?:whsec_|GOCSPX-|EAACEdEose0cBA|sq0[a-z]{{3}}-){_B64}{{20,80}}"),
    (Kind.API_KEY, ("-us",), r"[0-9a-f]{32}-us\d{1,2}"),
    (Kind.API_KEY, ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    (Kind.TOKEN, ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{30,255}"),
    (Kind.TOKEN, ("github_pat_",), r"github_pat_[A-Za-z0-9_]{22,255}"),
    (Kind.TOKEN, ("glpat-", "gldt-", "glrt-", "glptt-"), rf"gl(?:pat|dt|rt|ptt)-{_B64}{{20,64}}"),
    (Kind.TOKEN, ("xox", "xapp-"), r"(?:xox[abeoprs](?:\.xox[bp])?|xapp)-[0-9A-Za-z-]{10,250}"),
    (Kind.TOKEN, ("hooks.slack.com/",), r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_+]{20,90}"),
    (Kind.TOKEN, ("eyJ",), rf"eyJ{_B64}{{8,}}\.{_B64}{{8,}}(?:\.{_B64}*){{0,3}}"),
    (Kind.TOKEN, ("ya29.", "1//0"), rf"(?:ya29\.|1//0){_B64}{{20,}}"),
    (Kind.TOKEN, ("npm_", "pypi-", "hf_", "dckr_pat_", "shpat_", "shpss_", "shpca_", "dop_v1_", "doo_v1_", "rubygems_"),
     rf"(?:npm_|pypi-|hf_|dckr_pat_|shp(?:at|ss|ca)_|do[op]_v1_|rubygems_){_B64}{{24,250}}"),
    (Kind.TOKEN, ("hvs.", "hvb.", "glsa_", "glc_", "ATATT3", "tskey-", "dp.", "sntrys_", "atlasv1."),
     rf"(?:hv[sb]\.|glsa_|glc_|ATATT3|tskey-(?:auth-|api-)?|dp\.(?:pt|st|ct)\.|sntrys_|atlasv1\.){_B64}{{20,250}}=?"),
    (Kind.TOKEN, (":AA",), rf"\d{{8,10}}:AA{_B64}{{32,34}}"),
    (Kind.TOKEN, (".",), r"[MNO][A-Za-z\d_-]{23,27}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,40}"),
)  # fmt: skip
_KNOWN = tuple((kind, starts, re.compile(rf"(?<![A-Za-z0-9]){form}(?![A-Za-z0-9])")) for kind, starts, form in _FORMS)

_START = re.compile("|".join(sorted(start for _, starts, _ in _FORMS for start in map(re.escape, starts))))
SHORTEST = 15  # characters of a key

_PRIVATE = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:.*?-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|(?:\s|\\n)*[A-Za-z0-9+/=\s:,-]*)",
    re.DOTALL,
)
_IN_URL = re.compile(r"(?<=://)[^\s:/@\"'<>]{0,64}:[^\s/@\"'<>]{1,128}(?=@[\w\[])")
_BEARER = re.compile(r"\b(?:Bearer|Basic|Token)\s+([A-Za-z0-9_~+/.=-]{16,})", re.IGNORECASE)

# What is called a secret, and then given.
_NAMED = re.compile(
    r"(?<![A-Za-z])(?P<name>(?:[A-Za-z0-9]+[_-]){0,4}"
    r"(?:api[ _-]?key|access[ _-]?key(?:[ _-]?id)?|secret[ _-]?key|secret[ _-]?access[ _-]?key|"
    r"client[ _-]?secret|app[ _-]?secret|account[ _-]?key|auth[ _-]?key|encryption[ _-]?key|apikey|secret|"
    r"(?:(?:access|auth|refresh|session|bearer|api|bot|id|oauth)[ _-]?)?token|"
    r"password|passwd|passphrase|passwort|kennwort|mot de passe|contraseña|senha|wachtwoord|hasło|pwd))"
    r"(?P<said>[\"'`]?\s?(?:[:=]|=>|:=|\bis\b|\bist\b|\best\b|\bes\b|\bwas\b)\s?)"
    r"(?P<quote>[\"'`]?)(?P<value>[^\s\"'`<>]{6,200})(?P=quote)",
    re.IGNORECASE,
)
NAMES = ("key", "secret", "token", "bearer", "basic ", "passw", "pwd", "kennwort", "mot de passe", "contraseña", "senha", "wachtwoord",
          "hasło", "passphrase")  # fmt: skip
_A_PASSWORD = re.compile(r"pass|kennwort|contrase|senha|wachtwoord|hasło|pwd", re.IGNORECASE)
_END = ".,;:!?)]}"
_RANDOM_BITS = 3.0  # of entropy for each character: words have less for their length
_NO_SECRET = re.compile(
    r"^(?:\$\{?|%|\{\{|<|\*+$|x+$|\.+$|https?://|None$|null$|true$|false$|os\.|process\.env|env\.)", re.I
)


def may_hold_secrets(text: str) -> bool:
    """Whether to look more closely: a word is as long as a key, or one says that a secret follows."""
    for word in text.split():  # a loop: most texts have neither, and are to cost little
        if len(word) >= SHORTEST:
            return True
    return holds_any(text.lower(), NAMES)


def secrets(text: str) -> Iterator[Found]:
    """Everything in a text that opens something."""
    if "-----BEGIN " in text:
        for one in _PRIVATE.finditer(text):
            yield Found(one.start(), one.start() + len(one.group().rstrip()), Kind.PRIVATE_KEY)
    for kind, form in _forms_in(text):
        for one in form.finditer(text):
            if _is_mixed(one.group()):
                yield Found(one.start(), one.start() + len(one.group().rstrip(".")), kind)
    if "://" in text and "@" in text:
        for one in _IN_URL.finditer(text):
            yield Found(one.start(), one.end(), Kind.PASSWORD)
    if holds_any(text.lower(), NAMES):
        yield from _named(text)


def _forms_in(text: str) -> list[tuple[Kind, re.Pattern[str]]]:
    """The forms of which a text holds the beginning, in a word that is long enough."""
    words = [word for word in text.split() if len(word) >= SHORTEST]
    begun = {found for word in words for found in _START.findall(word)}
    return [(kind, form) for kind, starts, form in _KNOWN if not begun.isdisjoint(starts)] if begun else []


def holds_any(text: str, parts: tuple[str, ...]) -> bool:
    """Whether any of these stands in a text."""
    for part in parts:  # noqa: SIM110 (a generator would cost more than what it asks)
        if part in text:
            return True
    return False


def _named(text: str) -> Iterator[Found]:
    for one in _BEARER.finditer(text):
        value = one.group(1).rstrip(_END)
        if _is_random(value):
            yield Found(one.start(1), one.start(1) + len(value), Kind.TOKEN)
    for one in _NAMED.finditer(text):
        value = one.group("value")
        value = value if one.group("quote") else value.rstrip(_END)
        kind = _kind(one.group("name"))
        if _is_given(value, kind, said=one.group("said").strip("\"'` ")):
            yield Found(one.start("value"), one.start("value") + len(value), kind)


def _kind(name: str) -> Kind:
    if _A_PASSWORD.search(name):
        return Kind.PASSWORD
    return Kind.TOKEN if "token" in name.lower() else Kind.API_KEY


def _is_given(value: str, kind: Kind, *, said: str) -> bool:
    """Whether what follows the name of a secret is one: a password may be short, but "is" also begins sentences."""
    if len(value) < 6 or _NO_SECRET.search(value):
        return False
    if kind is Kind.PASSWORD:
        classes = _classes(value)
        return classes >= (2 if said in (":", "=", "=>", ":=") else 3) or (classes >= 2 and len(value) >= 10)
    return len(value) >= 16 and _is_random(value)


def _classes(value: str) -> int:
    """How many of small letters, capitals, digits and signs there are."""
    kinds = (str.islower, str.isupper, str.isdigit, lambda sign: not sign.isalnum() and sign not in "-_./")
    return sum(any(map(kind, value)) for kind in kinds)


def _is_mixed(value: str) -> bool:
    """Whether it is more than a name in a program or a row of the same sign."""
    is_one_word = value[4:].isalnum()  # behind the prefix: no name in a program, whose words are joined by signs
    return len(value) > 60 or (len(set(value)) > 8 and (is_one_word or any(sign.isdigit() for sign in value)))


def _is_random(value: str) -> bool:
    digits = sum(sign.isdigit() for sign in value)
    return digits > 0 and digits < len(value) and len(value) >= 16 and _entropy(value) >= _RANDOM_BITS


def _entropy(value: str) -> float:
    """Bits for each character, by how often each comes."""
    shares = [value.count(sign) / len(value) for sign in set(value)]
    return -sum(share * log2(share) for share in shares)
