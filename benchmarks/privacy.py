"""The benchmark of privacy: how much of what is personal or secret is found, how much else is taken for it, how fast.

``--corpus FILE.jsonl`` measures other lines, each an object with ``text`` and ``spans``.

The rule: a labelled span is *found* when findings of its family cover at least half of its characters; a finding is
*right* when at least half of its characters lie in a labelled span of its family. A family is a kind, and all secrets
are one: which of them is called a key and which a token is up to its issuer. A label that is none of ours is compared
by its place alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import report
from benchmarks._erasing import erase_10k
from benchmarks._private import Line, corpus, load
from benchmarks._texts import Texts
from benchmarks.report import Row
from pymemos.cube.privacy import Kind
from pymemos.infrastructure.privacy.scanning import scan

SPEED_BYTES = 2_000_000
_OTHER_NAMES = {
    "e_mail": "email", "mail": "email", "email_address": "email", "telephone": "phone", "phone_number": "phone",
    "credit_card": "card", "credit_card_number": "card", "payment_card": "card", "cc": "card", "iban_code": "iban",
    "bank_account": "iban", "ssn": "national_id", "us_ssn": "national_id", "nationalid": "national_id",
    "id_number": "national_id", "national_identity": "national_id", "tax_id": "national_id", "ip_address": "ip",
    "ipv4": "ip", "ipv6": "ip", "ipaddress": "ip", "jwt": "token", "access_token": "token", "bearer": "token",
    "apikey": "api_key", "aws_key": "api_key", "key": "api_key", "secret": "api_key", "pem": "private_key",
    "credential": "password", "credentials": "password", "url_password": "password",
}  # fmt: skip
Span = tuple[int, int, str]


def family(label: str) -> str:
    """What a label is compared by; nothing for one that is not known here."""
    name = label.lower().rpartition(":")[2].replace("-", "_").replace(" ", "_")
    name = _OTHER_NAMES.get(name, name)
    try:
        kind = Kind(name)
    except ValueError:
        return ""
    return "secret" if kind.is_secret else kind.value


def _covers(one: Span, others: Iterable[Span]) -> bool:
    """Whether others of its family hold at least half of its characters."""
    wanted, held = family(one[2]), 0
    for start, end, label in others:
        theirs = family(label)
        if wanted == theirs or not wanted or not theirs:
            held += max(0, min(end, one[1]) - max(start, one[0]))
    return 2 * held >= one[1] - one[0]


class Tally:
    """What was labelled and what was found, by kind."""

    def __init__(self) -> None:
        self.labelled, self.found, self.right, self.made = (
            Counter[str](),
            Counter[str](),
            Counter[str](),
            Counter[str](),
        )
        self.missed: list[tuple[str, Span]] = []
        self.wrong: list[tuple[str, Span]] = []

    def note(self, line: Line) -> None:
        """Scan one line and compare."""
        made = [(one.start, one.end, one.kind.value) for one in scan(line.text)]
        for span in line.spans:
            self.labelled[span[2]] += 1
            if _covers(span, made):
                self.found[span[2]] += 1
            else:
                self.missed.append((line.text, span))
        for span in made:
            self.made[span[2]] += 1
            if _covers(span, line.spans):
                self.right[span[2]] += 1
            else:
                self.wrong.append((line.text, span))


def finding(lines: Sequence[Line], show: bool) -> list[Row]:
    """Precision and recall over all, and of each kind."""
    tally = Tally()
    for line in lines:
        tally.note(line)
    if show:
        _show(tally)
    rows = [
        Row.at_least("privacy_precision", tally.right.total() / max(1, tally.made.total()), "", 0.97),
        Row.at_least("privacy_recall", tally.found.total() / max(1, tally.labelled.total()), "", 0.95),
        Row.plain("privacy_lines", len(lines), "lines"),
        Row.plain("privacy_clean_lines", sum(not line.spans for line in lines), "lines"),
    ]
    for kind in sorted(tally.labelled):
        rows.append(Row.plain(f"recall_{kind}", tally.found[kind] / tally.labelled[kind], f"of {tally.labelled[kind]}"))
    for kind in sorted(tally.made):
        rows.append(Row.plain(f"precision_{kind}", tally.right[kind] / tally.made[kind], f"of {tally.made[kind]}"))
    return rows


def _show(tally: Tally) -> None:
    for name, some in (("missed", tally.missed), ("wrong", tally.wrong)):
        for text, (start, end, kind) in some:
            shown = " ".join(text[max(0, start - 30) : end + 20].split())
            print(f"{name} {kind}: {text[start:end]!r} in {shown!r}", file=sys.stderr)


def speed(lines: Sequence[Line]) -> list[Row]:
    """Megabytes of UTF-8 a second of one core: a conversation, its prose alone, and the corpus alone."""
    rows = []
    for metric, texts, reach in (
        ("scan_mb_s", _mixed(lines), 5.0),
        ("scan_prose_mb_s", _filled(Texts().messages(2_000)), None),
        ("scan_dense_mb_s", _filled([line.text for line in lines]), None),
    ):
        size, best = sum(len(text.encode()) for text in texts), float("inf")
        for _ in range(3):
            started = time.process_time()
            for text in texts:
                scan(text)
            best = min(best, time.process_time() - started)
        rate = size / best / 1e6
        rows.append(Row.plain(metric, rate, "MB/s") if reach is None else Row.at_least(metric, rate, "MB/s", reach))
    return rows


def _mixed(lines: Sequence[Line]) -> list[str]:
    """Texts as a conversation has them: of ten lines nine are plain prose, one is of the corpus."""
    prose = Texts().messages(9 * len(lines))
    return _filled([text for at, line in enumerate(lines) for text in (*prose[9 * at : 9 * at + 9], line.text)])


def _filled(texts: list[str]) -> list[str]:
    """The texts, over and over, to the size that is timed."""
    size = sum(len(text.encode()) for text in texts)
    return texts * max(1, SPEED_BYTES // max(1, size))


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--corpus", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--show", action="store_true", help="print what was missed and what was wrong")
    own, rest = parser.parse_known_args(arguments)
    lines: list[Line] = []

    def given() -> list[Line]:
        if not lines:
            lines.extend(load(own.corpus) if own.corpus else corpus())
        return lines

    measures = {
        ("privacy_precision", "privacy_recall"): lambda: finding(given(), own.show),
        ("scan_mb_s",): lambda: speed(given()),
        ("erase_10k_s",): erase_10k,
    }
    report.main("privacy", measures, rest)


if __name__ == "__main__":
    main()
