"""Every error of the system: the class docstring is the default message and says what to do next."""

from __future__ import annotations

from typing import ClassVar


class PymemosError(Exception):
    """Something went wrong in pymemos; the message of the error that was raised says what to do next."""

    status: ClassVar[int] = 500  # the code that an HTTP surface answers with

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


# What the caller can mend in the call.


class InvalidInput(PymemosError, ValueError):
    """The call holds a value that cannot be used; mend the value that the message names."""

    status = 400


class EmptyScope(InvalidInput):
    """The call names nothing to act on; name an id, a user, an agent, a session or a filter that says something."""


class UnknownField(InvalidInput):
    """The filter names a field that does not exist; metadata is addressed as 'metadata.KEY'."""


class UnknownOperator(InvalidInput):
    """The filter names an operator that does not exist; use eq, ne, in, nin, gt, gte, lt, lte, contains or exists."""


class TextTooLong(InvalidInput):
    """The text is longer than the limit; split it, or raise text_limit in the settings."""

    status = 413


class NaiveDatetime(InvalidInput):
    """The time has no time zone; pass an aware datetime, for example datetime.now(UTC)."""


class MalformedRecord(InvalidInput):
    """The record cannot be read; the message names its position and what is wrong with it."""


class SensitiveText(InvalidInput):
    """The text holds what a privacy policy refuses; leave that out, or change the policy."""

    status = 422


class MissingExtra(InvalidInput):
    """A library is not installed that this needs; the message names the extra that brings it."""

    status = 501


class CannotWiden(InvalidInput):
    """A bound handle can only narrow; bind the other identity from the handle that is not bound."""

    status = 403


# What the caller may not see, or no longer holds.


class NotAllowed(PymemosError, PermissionError):
    """The caller may not do this; ask the steward of the store."""

    status = 403


class RateLimited(NotAllowed):
    """The caller called too often; wait as long as the message says and repeat the call."""

    status = 429


class UnknownMemory(PymemosError, LookupError):
    """There is no such memory in the caller's reach; search or list shows what there is."""

    status = 404


class UnknownVersion(UnknownMemory):
    """The memory has no such version; history shows which ones it has."""


class UnknownJob(PymemosError, LookupError):
    """There is no such job; 'pymemos jobs' lists the jobs that wait, run or are parked."""

    status = 404


class UnknownReceipt(PymemosError, LookupError):
    """No erasure has this receipt in the caller's reach; 'pymemos receipts' lists them."""

    status = 404


class StaleVersion(PymemosError):
    """The memory was changed since it was read; read it again and repeat the change on the new version."""

    status = 409


class StaleMemory(PymemosError):
    """The memory was made from something that has changed or is gone; make it anew from its sources."""

    status = 409


class MergeConflict(PymemosError):
    """The memories say different things of one field; choose another policy than 'fail', or make them agree first."""

    status = 409


class KeyReused(PymemosError):
    """The idempotency key was used for another request; use a new key for a new request."""

    status = 409


class WorldClosed(PymemosError):
    """This what-if is closed, and its changes are gone; open another one with what_if()."""

    status = 410


class LeaseLost(PymemosError):
    """The job was taken over by another worker; drop this result, the other worker applies it."""

    status = 409


# What is wrong with the store or the way it is used.


class StoreError(PymemosError):
    """The store could not do what was asked; nothing was changed. 'pymemos doctor' checks the store."""


class ForeignFolder(StoreError):
    """The folder holds something else than a pymemos store; name an empty folder or a store."""

    status = 400


class NewerFormat(StoreError):
    """The store or record was written by a newer pymemos; upgrade pymemos to open it."""

    status = 400


class BrokenStore(StoreError):
    """The store is damaged; run 'pymemos doctor', then restore the newest backup."""


class TamperedLog(StoreError):
    """The audit log is not what was signed; 'pymemos audit verify' says where."""


class NetworkFilesystem(StoreError):
    """The folder is on a network file system, where the store's log is not safe; use a local disk."""

    status = 400


class StoreFull(StoreError):
    """The disk is full; nothing was written. Free some space and repeat the call."""

    status = 507


class StoreReadOnly(StoreError):
    """The store cannot be written; check the permissions of its folder."""


class StoreBusy(StoreError):
    """Another process held the store for too long; nothing was written. Repeat the call."""

    status = 503


class StoreClosed(StoreError):
    """The store is closed; open it again."""


class NestedWrite(StoreError):
    """A write was started inside a write; do both in one closure."""


class ForkedStore(StoreError):
    """The store was opened before this process was forked; open it again in the child."""


class MissingBlob(StoreError):
    """A file that a memory refers to is not in the store; restore it from a backup."""


class DamagedBlob(MissingBlob):
    """A file that a memory refers to is not the one that was stored; restore it from a backup, or make it again."""


class ScrubFailed(StoreError):
    """Bytes of what was erased are still in the store's files; the receipt is not signed. The scrub is tried again."""


# What a model could not do.


class ModelError(PymemosError):
    """A model cannot be used; the message says which, and what to do next."""

    status = 503


class UnknownModel(ModelError):
    """There is no model of that name here; 'pymemos models list' shows what there is."""

    status = 400


class EmbedderFailed(ModelError):
    """The embedder gave no vectors; what was to be embedded is kept, and found by its words until it is embedded."""


class OtherEmbedder(ModelError):
    """The store's vectors were made by another embedder; run 'pymemos reembed', or set the one that made them."""

    status = 409


class ChatFailed(ModelError):
    """The chat model gave no answer; nothing was kept of the exchange. Check its address, key and name, then repeat."""


class PromptTooLong(ModelError):
    """The prompt is longer than the model's window; give fewer messages or a smaller budget for memory."""

    status = 400


class BlendRefused(ModelError):
    """Segments that were encoded apart may not be blended with this model; their text is read instead."""

    status = 409


class SegmentRefused(ModelError):
    """A KV segment does not fit this model or what stands before it; it is not used, and its text is read instead."""

    status = 409


class AdapterRefused(ModelError):
    """An adapter does not fit this model, or its file is damaged; it is not used, and the memory stays text."""

    status = 409


class TrainingStopped(ModelError):
    """The training of an adapter was cancelled, or what it learns from was changed meanwhile; distil again."""

    status = 409
