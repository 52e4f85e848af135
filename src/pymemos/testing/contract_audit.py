"""Contract of the audit log: read in pages, chain by chain, as entries and as the rows that hold them."""

from __future__ import annotations

from datetime import timedelta

from pymemos.cube.audit import AuditQuery, AuditRecord
from pymemos.cube.call import Caller
from pymemos.cube.header import SemanticType
from pymemos.cube.payload import Activation, ModelRef
from pymemos.ports import Store, WriteUnit
from pymemos.testing.acts import add, change, remove
from pymemos.testing.builders import ANA, a_cube, an_audit_record, an_entry, the_next
from pymemos.testing.doubles import WHEN

BO = "users/bo"
MINUTE = timedelta(minutes=1)
Place = tuple[str, int]


class AuditContract:
    """What the store promises of the log beside its newest entries."""

    def test_the_log_is_read_chain_by_chain_a_page_at_a_time(self, store: Store) -> None:
        _append(store, *(an_audit_record(n, space, at=WHEN - n * MINUTE) for n in (1, 2, 3) for space in (BO, ANA)))
        everything = [(ANA, 1), (ANA, 2), (ANA, 3), (BO, 1), (BO, 2), (BO, 3)]

        pages, after = [], None
        while page := _page(store, AuditQuery(limit=2), after):
            pages.append(page)
            after = page[-1]

        assert pages == [everything[:2], everything[2:4], everything[4:]]
        assert _page(store, AuditQuery(namespaces=(BO,), limit=2), (ANA, 3)) == [(BO, 1), (BO, 2)]
        assert _page(store, AuditQuery(namespaces=())) == []
        assert _page(store, AuditQuery(), (BO, 3)) == []

    def test_a_page_holds_only_what_was_asked_for(self, store: Store) -> None:
        _append(
            store,
            an_audit_record(1, at=WHEN, memories=("a",)),
            an_audit_record(2, at=WHEN + MINUTE, operation="search", caller=Caller(user="bo")),
            an_audit_record(3, at=WHEN + 2 * MINUTE, operation="search"),
        )

        assert _page(store, AuditQuery(operation="search")) == [(ANA, 2), (ANA, 3)]
        assert _page(store, AuditQuery(operation="search"), (ANA, 2)) == [(ANA, 3)]
        assert _page(store, AuditQuery(caller="users/bo")) == [(ANA, 2)]
        assert _page(store, AuditQuery(since=WHEN + MINUTE, until=WHEN + 2 * MINUTE)) == [(ANA, 2)]
        assert _page(store, AuditQuery(memory="a")) == [(ANA, 1)]

    def test_entries_are_found_by_the_kind_of_memory_that_they_name(self, store: Store) -> None:
        model = ModelRef(name="m", weights="w")
        tensor = a_cube(payload=Activation(form="kv", blob="b", size=1, model=model), semantic_type=SemanticType.FACT)
        text, gone = an_entry("Lisbon"), an_entry("Porto")
        add(store, text, gone, an_entry(cube=tensor))
        remove(store, gone.cube.id)
        named = [(text.cube.id,), (tensor.id,), (gone.cube.id, tensor.id), ("elsewhere",), ()]
        _append(store, *(an_audit_record(n, memories=ids) for n, ids in enumerate(named, 1)))

        for ask in (_page, _newest):
            assert ask(store, AuditQuery(memory_kind="plaintext")) == [(ANA, 1), (ANA, 3)]
            assert ask(store, AuditQuery(memory_kind="activation")) == [(ANA, 2), (ANA, 3)]
            assert ask(store, AuditQuery(memory_kind="parametric")) == []

    def test_entries_are_found_by_any_type_that_a_memory_had(self, store: Store) -> None:
        event, fact = an_entry(semantic_type=SemanticType.EVENT), an_entry(semantic_type=SemanticType.FACT)
        add(store, event, fact)
        change(store, the_next(event, semantic_type=SemanticType.PREFERENCE))
        remove(store, fact.cube.id)
        _append(store, an_audit_record(1, memories=(event.cube.id,)), an_audit_record(2, memories=("x", fact.cube.id)))

        for ask in (_page, _newest):
            assert ask(store, AuditQuery(memory_type="event")) == [(ANA, 1)]
            assert ask(store, AuditQuery(memory_type="user_preference")) == [(ANA, 1)]
            assert ask(store, AuditQuery(memory_type="fact")) == [(ANA, 2)]
            assert ask(store, AuditQuery(memory_type="fact", memory_kind="plaintext")) == [(ANA, 2)]
            assert ask(store, AuditQuery(memory_type="procedure")) == []

    def test_the_rows_are_those_that_were_written(self, store: Store) -> None:
        records = [
            an_audit_record(1, caller=Caller(user="ana", steward=True), memories=("m",), count=1, mac="ab", key_id="k"),
            an_audit_record(2, allowed=False),
            an_audit_record(1, "users/Ωλε ünï"),
        ]
        _append(store, *records)

        with store.read() as unit:
            rows = unit.audit_rows(None, limit=10)
            behind = unit.audit_rows(None, after=(ANA, 1), limit=1)
            own = unit.audit_rows((ANA,), limit=10)
            strays = unit.audit_strays()

        assert [(row.chain, row.n, row.record, row.exact) for row in rows] == [
            (record.namespace, record.n, record, True) for record in records
        ]
        assert (behind, own, strays) == (rows[1:2], rows[:2], 0)

    def test_the_last_entry_of_every_chain_is_told(self, store: Store) -> None:
        with store.read() as unit:
            assert unit.audit_tails(None) == []
        _append(store, an_audit_record(1, BO), an_audit_record(1), an_audit_record(2), an_audit_record(1, "a"))

        with store.read() as unit:
            every, some = unit.audit_tails(None), unit.audit_tails((BO, "nobody"))

        assert [(tail.namespace, tail.n) for tail in every] == [("a", 1), (ANA, 2), (BO, 1)]
        assert [(tail.namespace, tail.n) for tail in some] == [(BO, 1)]


def _append(store: Store, *records: AuditRecord) -> None:
    def work(unit: WriteUnit) -> None:
        for record in records:
            unit.append_audit(record)

    store.write(work)


def _page(store: Store, query: AuditQuery, after: Place | None = None) -> list[Place]:
    with store.read() as unit:
        return [(record.namespace, record.n) for record in unit.audit_page(query, after=after)]


def _newest(store: Store, query: AuditQuery) -> list[Place]:
    with store.read() as unit:
        return sorted((record.namespace, record.n) for record in unit.audit(query))
