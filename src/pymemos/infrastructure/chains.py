"""Verification of the audit chains: what lies in the log, held against its seals and against a signed head (5.5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import groupby

import msgspec

from pymemos.cube.audit import AuditRecord, AuditRow
from pymemos.infrastructure.audit import seal_of
from pymemos.infrastructure.heads import Signature, Tip

Keys = Mapping[str, bytes]  # by their names


class Fault(StrEnum):
    """Why a chain is not what was written."""

    CHANGED = "changed"
    MISSING = "missing"
    REPLACED = "replaced"
    CUT = "cut"
    VANISHED = "vanished"


_REASONS = {
    Fault.CHANGED: "entry {n} or the one before it is not what was written",
    Fault.MISSING: "entry {n} is missing",
    Fault.REPLACED: "entry {n} is another than the one that the signed head names",
    Fault.CUT: "entry {n} and what followed it are missing: the signed head goes up to entry {signed}",
    Fault.VANISHED: "the whole chain is missing: the signed head goes up to entry {signed}",
}


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What verification says of one chain."""

    chain: str
    entries: int = 0  # that lie there
    signed: int = 0  # the last entry that a signed head names; 0 where none does
    unverified: int = 0  # entries sealed with a key that is not here
    broken: int | None = None  # the number of the first entry that is not what was written
    fault: Fault | None = None

    @property
    def ok(self) -> bool:
        """Whether every entry is what was written, as far as that is signed."""
        return self.fault is None and not self.unverified

    @property
    def reason(self) -> str:
        """What is wrong, for people."""
        if self.fault is not None:
            return _REASONS[self.fault].format(n=self.broken, signed=self.signed)
        return f"{self.unverified:,} entries were sealed with a key that is not here" if self.unverified else ""


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What verification says of the log: of its chains, of the signed head, and of rows that no chain can hold."""

    store: str
    at: datetime
    head: Signature  # of the signed head that is kept beside the instance key
    head_at: datetime | None = None  # when it was signed
    strays: int = 0
    chains: tuple[ChainReport, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the whole log is what was written, up to what the head does not reach yet."""
        return self.head is Signature.HOLDS and not self.strays and all(chain.ok for chain in self.chains)

    @property
    def head_age_s(self) -> float | None:
        """How old the signed head is, in seconds."""
        return None if self.head_at is None else (self.at - self.head_at).total_seconds()


def examined(rows: Iterable[AuditRow], keys: Keys, tips: Mapping[str, Sequence[Tip]]) -> Iterator[ChainReport]:
    """A report on each chain, from rows in order of chain and number; ``tips`` are the entries that heads name."""
    seen = set()
    for name, chain in groupby(rows, key=lambda row: row.chain):
        seen.add(name)
        yield _examine(name, chain, keys, tips.get(name, ()))
    for name in sorted(tips.keys() - seen):
        if signed := max((tip.n for tip in tips[name]), default=0):
            yield ChainReport(chain=name, signed=signed, broken=1, fault=Fault.VANISHED)


def _examine(name: str, rows: Iterable[AuditRow], keys: Keys, tips: Sequence[Tip]) -> ChainReport:
    entries = unverified = last = 0
    previous: AuditRecord | None = None
    found: tuple[int, Fault] | None = None
    for row in rows:
        entries += 1
        if found is None:
            found = _fault(row, previous, keys) or _contradiction(row, tips)
            unverified += row.record is not None and row.record.key_id not in keys
            previous, last = row.record, row.n
    signed = max((tip.n for tip in tips), default=0)
    if found is None and last < signed:
        found = last + 1, Fault.CUT
    broken, fault = found or (None, None)
    return ChainReport(
        chain=_readable(name), entries=entries, signed=signed, unverified=unverified, broken=broken, fault=fault
    )


def _fault(row: AuditRow, previous: AuditRecord | None, keys: Keys) -> tuple[int, Fault] | None:
    wanted, record = previous.n + 1 if previous else 1, row.record
    if row.n != wanted:
        return wanted, Fault.MISSING
    if record is None or not row.exact or (record.namespace, record.n) != (row.chain, row.n):
        return row.n, Fault.CHANGED
    key = keys.get(record.key_id)
    if key is not None and record.mac != seal_of(record, previous, key):
        return row.n, Fault.CHANGED
    return None


def _contradiction(row: AuditRow, tips: Sequence[Tip]) -> tuple[int, Fault] | None:
    """Whether a signed head names another entry of this number."""
    mac = row.record.mac if row.record else ""
    return (row.n, Fault.REPLACED) if any(tip.n == row.n and tip.mac != mac for tip in tips) else None


def _readable(name: str) -> str:
    """A name that can be printed, also where somebody left no Unicode of it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
