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
