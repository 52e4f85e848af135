"""Context: whether the words around a number say that it is personal, or that it is something else."""

from __future__ import annotations

import re

BEFORE, AFTER = 56, 20  # characters that are looked at

# What numbers are called that are nobody's. It may end in "number", so that this word does not speak for the person.
_THINGS = re.compile(
    r"(?<![^\W\d_])(?:order|invoice|tracking|isbn|issn|ean|upc|gtin|sku|serial|part|model|item|article|reference|ref|"
    r"case|build|commit|version|imei|room|flight|booking|confirmation|receipt|batch|lot|product|catalogue|catalog|"
    r"asset|transaction|ticket|issue|bug|patent|doi|arxiv|chapter|page|shipment|parcel|package|gene|sample|"
    r"firmware|release|revision|timestamp|epoch|checksum|hash|bestellung|bestellnummer|rechnung|commande|facture|"
    r"pedido|factura|ordine|fattura|zamówienie|artikel|seriennummer|sendungsnummer|colis|warehouse|license plate)"
    r"s?(?:[-\s]*(?:number|numbers|no|nr|num|id|code|key|#|№))*\b[.:#]?"
)


def words(*alternatives: str) -> re.Pattern[str]:
    """Any of these words in small letters, at the beginning of a word.

    (Without regard to case the machine behind ``re`` cannot skip an alternative by its first letter.)
    """
    return re.compile(rf"(?<![^\W\d_])(?:{'|'.join(alternatives)})")


def leaning(text: str, start: int, end: int, speaking: re.Pattern[str]) -> int:
    """What the words around say: 1 where they speak for it, -1 where they name a thing, 0 where they say nothing.

    Of the words before, the nearest decide.
    """
    before = text[max(0, start - BEFORE) : start].lower()
    before = before[before.rfind("\n\n") + 1 :]
    spoken = max((one.end() for one in speaking.finditer(before)), default=-1)
    things = max((one.end() for one in _THINGS.finditer(before)), default=-1)
    if things >= spoken and things >= 0:
        return -1
    return 1 if spoken >= 0 or speaking.search(text[end : end + AFTER].lower()) else 0


# What says that a number is a telephone's.
PHONES = words(
    "phone", "telephone", r"tel\b", r"ph\b", "mobile", r"mob\b", r"cell(?:phone)?\b", "call", "fax", "whatsapp",
    "signal", "telegram", r"sms\b", r"text(?:ed|ing)?\b", "dial", r"r(?:ing|ang)\b", "hotline", "helpline", "voicemail",
    "landline", r"contact\b", r"reach(?:ed)?\b", r"(?:his|her|my|our|your|their|whose|new|home|work|office|emergency|the) "
    r"number\b", r"number(?: is|:)", r"(?:office|landline|line)\b", r"pager\b", "handy", r"mobil", "ruf", "anruf", "téléphone", "portable", "appel",
    "joindre", "teléfono", "móvil", r"ll[áa]m", "telefon", "cellulare", "chiam", "celular", r"ligue", r"ligar", r"bel\b",
    r"bellen\b", "puhelin", "komórk", "zadzwoń", "电话", "手机", "電話", "携帯", "전화", "휴대", "फ़ोन", "โทร", "тел", "звон",
    "позвон", "телефон", "τηλ", "טלפון", r"gsm\b", r"ring\b", r"nummer\b", r"numer", r"númer", r"numéro", "sími", "ext",
)  # fmt: skip

# What says that it is the number of a person.
IDENTITIES = words(
    r"ids?\b", r"ssn\b", "social security", "social insurance", "national", r"nat(?:'l)?\.? id", "identity",
    "identification", "personal (?:id|number|code)", "tax", r"tin\b", "citizen", r"ni(?:no)?\b", "nhs", "patient",
    "resident", "insurance", r"sin\b", r"s\.s\.n", "aadhaar", "aadhar", r"pan\b", r"tfn\b", r"ird\b", "medicare", r"pps",
    r"cpf\b", r"cuit", r"cuil", r"dni\b", r"nif\b", r"nie\b", r"nss\b", r"curp\b", r"rfc\b", r"rut\b", r"run\b", "cédula",
    "cedula", "identidad", "identidade", "identité", "sécurité sociale", r"nir\b", "numéro fiscal", "codice fiscale",
    r"c\.?f\.?\b", "carta d'identit", r"bsn\b", "burgerservice", "rijksregister", "registre national", "steuer",
    "idnr", "sozialversicherung", "rentenversicherung", "krankenversicher", "versicherten", r"svnr\b", r"ahv", r"avs\b",
    "ausweis", "personen", "pesel", "rodné", "rodne", r"cnp\b", r"egn\b", "егн", r"oib\b", "emšo", "emso", "amka", "αμκα",
    "isikukood", "asmens", "personas kods", "personnummer", "samordningsnummer", "fødselsnummer", "fodselsnummer",
    "personnr", r"cpr\b", "hetu", "henkilötunnus", "henkilotunnus", "kennitala", r"t\.?c\.? kimlik", "tckn", "kimlik",
    "teudat", r"ת\.?ז", "תעודת", "身份证", "身分證", "주민", "マイナンバー", "個人番号", "my number card", "บัตรประชาชน", "เลขประจำตัว",
    "инн", "снилс", "паспорт", "рнокпп", "ідентифікаційний", "nric", "hkid", r"nik\b", "cnic", "mykad", "passport",
    "adószám", "taj", "személyi", "आधार", "documento", "born on", "taxpayer",
)  # fmt: skip
