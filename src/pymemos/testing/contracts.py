"""The contracts of the ports: subclass one, supply its fixtures, and pytest runs the rest.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self) -> Iterator[Store]: ...

        @pytest.fixture
        def blobs(self) -> BlobStore: ...

The tests look only through the port. They assume neither that closures share a transaction nor that they do not.
"""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from hashlib import sha256

import pytest

pytest.register_assert_rewrite(  # before they are imported, or a failure shows no values
    "pymemos.testing.contract_audit",
    "pymemos.testing.contract_changes",
    "pymemos.testing.contract_chat",
    "pymemos.testing.contract_embedder",
    "pymemos.testing.contract_engine",
    "pymemos.testing.contract_erasure",
    "pymemos.testing.contract_lifecycle",
    "pymemos.testing.contract_memories",
    "pymemos.testing.contract_queue",
    "pymemos.testing.contract_restoring",
    "pymemos.testing.contract_rules",
    "pymemos.testing.contract_search",
    "pymemos.testing.contract_signatures",
    "pymemos.testing.contract_times",
    "pymemos.testing.contract_units",
)

from pymemos.errors import MissingBlob  # noqa: E402
from pymemos.ports import BlobStore  # noqa: E402
from pymemos.testing.contract_audit import AuditContract  # noqa: E402
from pymemos.testing.contract_changes import ChangesContract  # noqa: E402
from pymemos.testing.contract_chat import ChatContract as ChatContract  # noqa: E402
from pymemos.testing.contract_chat import said as said  # noqa: E402
from pymemos.testing.contract_embedder import EmbedderContract as EmbedderContract  # noqa: E402
from pymemos.testing.contract_engine import EngineContract as EngineContract  # noqa: E402
from pymemos.testing.contract_erasure import ErasureContract  # noqa: E402
from pymemos.testing.contract_lifecycle import LifecycleContract  # noqa: E402
from pymemos.testing.contract_memories import MemoriesContract  # noqa: E402
from pymemos.testing.contract_queue import LedgersContract, QueueContract  # noqa: E402
from pymemos.testing.contract_restoring import RestoringContract  # noqa: E402
from pymemos.testing.contract_rules import RulesContract  # noqa: E402
from pymemos.testing.contract_search import FilterContract, LexicalContract  # noqa: E402
from pymemos.testing.contract_signatures import SignaturesContract  # noqa: E402
from pymemos.testing.contract_times import TimesContract  # noqa: E402
from pymemos.testing.contract_units import UnitsContract  # noqa: E402


class StoreContract(
    UnitsContract,
    MemoriesContract,
    TimesContract,
    RestoringContract,
    SignaturesContract,
    FilterContract,
    LexicalContract,
    ChangesContract,
    LifecycleContract,
    RulesContract,
    QueueContract,
    LedgersContract,
    AuditContract,
    ErasureContract,
):
    """What every ``Store`` does."""


class BlobStoreContract:
    """What every ``BlobStore`` does."""

    def test_a_blob_is_named_by_its_sha256(self, blobs: BlobStore) -> None:
        assert blobs.put(b"tensor") == (sha256(b"tensor").hexdigest(), 6)

    def test_what_was_put_can_be_opened(self, blobs: BlobStore) -> None:
        name, _ = blobs.put(b"tensor")

        assert bytes(blobs.open(name)) == b"tensor"

    def test_a_blob_can_be_put_from_a_stream(self, blobs: BlobStore) -> None:
        data = bytes(range(256)) * 40_000

        name, size = blobs.put(io.BytesIO(data))

        assert (name, size) == (sha256(data).hexdigest(), len(data))
        assert blobs.open(name) == data

    def test_the_empty_blob_is_a_blob(self, blobs: BlobStore) -> None:
        name, size = blobs.put(b"")

        assert size == 0
        assert bytes(blobs.open(name)) == b""

    def test_putting_the_same_bytes_again_changes_nothing(self, blobs: BlobStore) -> None:
        first = blobs.put(b"tensor")

        assert blobs.put(io.BytesIO(b"tensor")) == first
        assert blobs.names() == {first[0]}

    def test_what_was_put_is_whole(self, blobs: BlobStore) -> None:
        for data in (b"tensor", b""):
            name, _ = blobs.put(data)

            assert [bytes(blobs.open_whole(name)) for _ in range(2)] == [data, data]

    def test_names_are_those_of_all_blobs(self, blobs: BlobStore) -> None:
        assert blobs.names() == set()

        assert {blobs.put(b"a")[0], blobs.put(b"b")[0]} == blobs.names()

    def test_a_blob_that_is_not_there_is_missing(self, blobs: BlobStore) -> None:
        for read in (blobs.open, blobs.open_whole):
            with pytest.raises(MissingBlob):
                read("0" * 64)

    def test_a_removed_blob_is_gone_and_removing_it_again_is_no_error(self, blobs: BlobStore) -> None:
        name, _ = blobs.put(b"tensor")

        blobs.remove(name)
        blobs.remove(name)

        assert blobs.names() == set()
        with pytest.raises(MissingBlob):
            blobs.open(name)

    def test_an_open_blob_outlives_its_removal(self, blobs: BlobStore) -> None:
        name, _ = blobs.put(b"tensor")
        view = blobs.open(name)

        blobs.remove(name)

        assert bytes(view) == b"tensor"

    def test_an_open_blob_cannot_be_written_to(self, blobs: BlobStore) -> None:
        view = blobs.open(blobs.put(b"tensor")[0])

        assert view.readonly

    def test_what_is_old_and_no_memory_names_is_removed(self, blobs: BlobStore) -> None:
        named, unnamed = blobs.put(b"named")[0], blobs.put(b"unnamed")[0]
        never, ever = (datetime.max.replace(year=year, tzinfo=UTC) for year in (1990, 9000))

        assert blobs.remove_unnamed({named}, never) == 0
        assert blobs.names() == {named, unnamed}
        assert blobs.remove_unnamed({named}, ever) == 1
        assert blobs.names() == {named}

    def test_what_is_put_again_is_not_old(self, blobs: BlobStore) -> None:
        name, _ = blobs.put(b"tensor")
        between = datetime.now(UTC)
        time.sleep(0.02)
        blobs.put(b"tensor")

        assert blobs.remove_unnamed(set(), between) == 0
        assert blobs.names() == {name}

    def test_what_is_whole_is_nothing_half_written(self, blobs: BlobStore) -> None:
        name, _ = blobs.put(b"tensor")

        assert blobs.remove_partial(datetime.max.replace(year=9000, tzinfo=UTC)) == 0
        assert blobs.names() == {name}
