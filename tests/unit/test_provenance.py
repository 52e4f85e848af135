"""Where memories come from: what is said of it, who changed them, their graph, and the way back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pymemos import MemCube, MemOS, errors
from pymemos.cube.cube import Standing
from pymemos.cube.header import Behaviour, Lifespan, Provenance, State
from pymemos.cube.payload import Plaintext
from pymemos.interface.transfer import from_line, to_line
from pymemos.operation import picture, tree
from pymemos.operation.lineage import Arrow, Node
from pymemos.ports import Record
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN, FrozenClock, HashingEmbedder

DAY = timedelta(days=1)
EVIL = '"><script>alert(1)</script>&\x1b[2J\u202egpj.exe\x00\ud7ff]]>'


def a_record(cube: MemCube) -> Record:
    return Record(cube=cube, seq_from=1, known_from=WHEN, valid_from=WHEN)


def parsed(drawn: str) -> ET.Element:
    return ET.fromstring(drawn)  # noqa: S314 (drawn by this test)


def said(cube: MemCube) -> Provenance:
    return cube.header.descriptive.provenance or Provenance()


def ids(nodes: tuple[Node, ...]) -> list[str]:
    return [node.id for node in nodes]


class TestSaying:
    def test_provenance_goes_with_what_is_added(self, mem: MemOS) -> None:
        given = {"trigger": "a correction", "context": "talk 3", "model": "m", "links": ["doi:1"], "note": "checked"}
        cube = mem.add("a text", provenance=given).cubes[0]

        assert said(mem.get(cube.id)) == Provenance(**{**given, "links": ("doi:1",)})
        turns = mem.add([{"role": "user", "content": "hi"}], provenance={"trigger": "an import"})
        assert said(turns.cubes[0]).trigger == "an import"

    def test_a_caller_that_is_a_model_is_named_as_the_model(self, mem: MemOS) -> None:
        ann = mem.bind(user_id="ann", model="llama3:8b")
        id = ann.add("a text").ids[0]
        assert said(ann.get(id)).model == "llama3:8b"
        assert said(ann.add("a text", provenance={"model": "other"}).cubes[0]).model == "other"

        other = mem.bind(user_id="ann", model="tagger")
        assert said(other.update(id, tags=["x"])).model == "llama3:8b"
        assert said(other.update(id, "another text")).model == "tagger"

    def test_what_is_not_given_stays_and_none_takes_it_back(self, mem: MemOS) -> None:
        id = mem.add("a text", provenance={"trigger": "t", "links": ["l"]}).ids[0]

        assert said(mem.update(id, tags=["x"])) == Provenance(trigger="t", links=("l",))
        assert said(mem.update(id, provenance={"model": "m"})) == Provenance(trigger="t", model="m", links=("l",))
        assert said(mem.append(id, "more")) == Provenance(trigger="t", model="m", links=("l",))
        nothing = mem.update(id, provenance={"trigger": None, "model": None, "links": None})
        assert nothing.header.descriptive.provenance is None

    def test_a_new_text_exists_for_its_own_reasons(self, mem: MemOS) -> None:
        id = mem.add("a text", provenance={"trigger": "t"}).ids[0]

        assert said(mem.update(id, "another", provenance={"note": "n"})) == Provenance(note="n")

    @pytest.mark.parametrize(
        ("given", "match"),
        [
            ("a text", "mapping"),
            ({"triger": "x"}, "no 'triger'"),
            ({"trigger": 7}, "pass text"),
            ({"trigger": "x" * 257}, "256"),
            ({"model": "a\0b"}, "NUL"),
            ({"context": ""}, "empty"),
            ({"note": "x" * 10_001}, "10,001"),
            ({"links": "https://x.org"}, "list of texts"),
            ({"links": ["two\nlines"]}, "one line"),
            ({"links": ["x" * 2001]}, "2000"),
            ({"links": [f"l{n}" for n in range(101)]}, "at most 100"),
            ({"note": "\ud800"}, "surrogate"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, mem: MemOS, given: Any, match: str) -> None:
        with pytest.raises(errors.InvalidInput, match=match):
            mem.add("a text", provenance=given)


class TestAnnotating:
    def test_an_annotation_is_a_version_with_the_same_content(self, mem: MemOS) -> None:
        first = mem.add("Ann lives in Lisbon.", user_id="ann", provenance={"trigger": "t"}).cubes[0]
        derived = mem.add("In Lisbon.", user_id="ann", parents=[first]).ids[0]
        cube = mem.bind(user_id="ann").annotate(first.id, note="checked with her", links=["doi:1"])

        assert (cube.revision, cube.content_hash) == (2, first.content_hash)
        assert (cube.header.descriptive.cause, cube.header.descriptive.author) == ("annotate", "users/ann")
        assert said(cube) == Provenance(trigger="t", note="checked with her", links=("doi:1",))
        assert mem.get(derived).stale == ()
        assert [hit.cube.revision for hit in mem.search("Lisbon", user_id="ann") if hit.cube.id == first.id] == [2]

    def test_links_are_added_and_a_note_replaced(self, mem: MemOS) -> None:
        id = mem.add("a text").ids[0]
        mem.annotate(id, links=["a", "b"], note="one")

        assert said(mem.annotate(id, links=["b", "c"], note="two")) == Provenance(links=("a", "b", "c"), note="two")
        mem.annotate(id, links=[f"l{n}" for n in range(97)])
        with pytest.raises(errors.InvalidInput, match="at most 100"):
            mem.annotate(id, links=["one more"])

    def test_it_says_something(self, mem: MemOS) -> None:
        id = mem.add("a text").ids[0]
        with pytest.raises(errors.InvalidInput, match="says nothing"):
            mem.annotate(id)

    def test_a_stale_expectation_a_foreign_and_a_deleted_memory_are_refused(self, mem: MemOS) -> None:
        id = mem.add("a text", user_id="ann").ids[0]
        with pytest.raises(errors.StaleVersion):
            mem.annotate(id, note="n", expected=2)
        with pytest.raises(errors.UnknownMemory):
            mem.bind(user_id="bo").annotate(id, note="n")
        mem.delete(id)
        with pytest.raises(errors.UnknownMemory):
            mem.annotate(id, note="n")

    def test_a_retry_with_its_key_gives_the_first_result(self, mem: MemOS) -> None:
        id = mem.add("a text").ids[0]
        first = mem.annotate(id, note="n", idempotency_key="k")

        assert mem.annotate(id, note="n", idempotency_key="k") == first
        assert mem.get(id).revision == 2

    def test_a_frozen_memory_takes_no_annotation_and_is_not_restored(self, mem: MemOS) -> None:
        cube = a_cube("a contract", "users/ann", frozen=True)
        mem.import_records([(a_record(cube),)])
        with pytest.raises(errors.NotAllowed, match="frozen"):
            mem.annotate(cube.id, note="n")
        gone = a_cube("another contract", "users/ann", frozen=True)
        mem.import_records([(replace(a_record(gone), known_to=WHEN + DAY, retired=WHEN + DAY),)])

        with pytest.raises(errors.NotAllowed, match="frozen"):
            mem.restore(gone.id)


class TestRestoring:
    def test_a_memory_goes_back_to_what_it_said(self, mem: MemOS, clock: FrozenClock) -> None:
        first = mem.add("Ann lives in Lisbon.", user_id="ann", tags=["home"]).cubes[0]
        clock.advance(DAY)
        mem.update(first.id, "Ann lives in Porto.", tags=["moved"])
        clock.advance(DAY)
        cube = mem.restore(first.id, 1, expected=2)

        assert (cube.text, cube.revision, cube.content_hash) == ("Ann lives in Lisbon.", 3, first.content_hash)
        assert cube.header.descriptive.tags == ("home",)
        assert cube.header.descriptive.cause == "restore"
        assert [hit.cube.text for hit in mem.search("Lisbon Porto", user_id="ann")] == ["Ann lives in Lisbon."]
        [then] = mem.list(user_id="ann", valid_at=clock() - timedelta(hours=1))
        assert then.revision == 3
        assert len(mem.history(first.id)) == 3

    def test_a_version_is_named_by_its_hash_too(self, mem: MemOS) -> None:
        first = mem.add("one").cubes[0]
        mem.update(first.id, "two")

        assert mem.restore(first.id, first.version).text == "one"

    def test_a_deleted_memory_comes_back_with_everything(self, mem: MemOS, clock: FrozenClock) -> None:
        talk = [{"role": "user", "content": text} for text in ("I like tea.", "Green, I mean.", "With honey.")]
        turns = mem.add(talk, user_id="ann", session_id="s").cubes
        with mem._tools.store.read() as unit:
            before = [unit.text(turn.id) for turn in turns]
        derived = mem.add("Ann likes green tea.", user_id="ann", parents=[turns[1]]).ids[0]
        mem.delete(turns[1].id)
        assert mem.get(derived).stale
        clock.advance(DAY)

        cube = mem.restore(turns[1].id)

        assert (cube.text, cube.revision, mem.get(cube.id)) == ("Green, I mean.", 2, cube)
        assert mem.get(derived).stale == ()
        assert "Green, I mean." in [hit.cube.text for hit in mem.search("green", user_id="ann")]
        with mem._tools.store.read() as unit:
            assert [unit.text(turn.id) for turn in turns] == before
        assert [finding for finding in mem.doctor() if not finding.ok] == []

    def test_a_deleted_memory_comes_back_as_an_earlier_version(self, mem: MemOS) -> None:
        id = mem.add("one").ids[0]
        mem.update(id, "two")
        mem.delete(id)

        assert (mem.restore(id, 1).text, mem.get(id).revision) == ("one", 3)

    def test_what_was_restored_is_exported_and_imported(self, mem: MemOS, clock: FrozenClock, tmp_path: Path) -> None:
        id = mem.add("one", user_id="ann").ids[0]
        clock.advance(DAY)
        mem.delete(id)
        clock.advance(DAY)
        mem.restore(id)
        [line] = mem.export_lines()
        with MemOS(tmp_path / "other", clock=clock) as other:
            assert other.import_records([from_line(line)]).written == (id,)
            assert list(other.export_lines()) == [line]
            assert len(other.list(user_id="ann", known_at=clock() - timedelta(hours=1), valid_at=WHEN)) == 0

        assert to_line(list(mem.history(id))) == line

    def test_access_and_sensitivity_stay_as_they_are_now(self, mem: MemOS) -> None:
        id = mem.add("one").ids[0]
        mem.update(id, "two", sensitivity=["health"], priority="high")
        rules = mem.restore(id, 1).header.governance

        assert (rules.sensitivity, rules.priority) == (("health",), "high")

    def test_an_archived_memory_is_at_hand_again(self, mem: MemOS) -> None:
        cube = a_cube("Ann lives in Lisbon.", "users/ann", behaviour=Behaviour(state=State.ARCHIVED))
        second = cube.derive(payload=Plaintext(content="Ann lives in Porto."))
        first = replace(a_record(cube), known_to=WHEN + DAY, valid_to=WHEN)
        mem.import_records([(first, replace(a_record(second), known_from=WHEN + DAY))])
        restored = mem.restore(cube.id, 1)

        assert restored.header.behaviour.state is State.ACTIVATED
        assert mem.get(cube.id) == restored
        assert [hit.cube.id for hit in mem.search("Lisbon", user_id="ann")] == [cube.id]
        assert [finding for finding in mem.doctor() if not finding.ok] == []

    def test_an_expired_memory_is_at_its_end(self, mem: MemOS, clock: FrozenClock) -> None:
        cube = a_cube("for a day", "users/ann", lifespan=Lifespan(ttl_s=86_400.0))
        gone = replace(a_record(cube), known_to=WHEN + DAY, retired=WHEN + DAY)
        mem.import_records([(gone,)])
        clock.advance(3 * DAY)
        with pytest.raises(errors.NotAllowed, match="expired"):
            mem.restore(cube.id)

    def test_what_has_expired_takes_no_annotation(self, mem: MemOS, clock: FrozenClock) -> None:
        id = mem.add("for a day", lifespan={"ttl_s": 86_400.0}).ids[0]
        clock.advance(2 * DAY)

        with pytest.raises(errors.UnknownMemory, match="expired"):
            mem.annotate(id, note="late")

    @pytest.mark.parametrize("version", [None, 2, 3, "nothing"])
    def test_there_must_be_something_to_go_back_to(self, mem: MemOS, version: Any) -> None:
        id = mem.add("one").ids[0]
        mem.update(id, "two")
        with pytest.raises((errors.InvalidInput, errors.UnknownVersion)):
            mem.restore(id, version)

        assert mem.get(id).revision == 2

    def test_expected_and_keys_and_tenants(self, mem: MemOS) -> None:
        id = mem.add("one", user_id="ann").ids[0]
        mem.delete(id)
        with pytest.raises(errors.StaleVersion):
            mem.restore(id, expected=2)
        with pytest.raises(errors.UnknownMemory):
            mem.bind(user_id="bo").restore(id)
        first = mem.restore(id, expected=1, idempotency_key="k")

        assert mem.restore(id, expected=1, idempotency_key="k") == first
        assert [entry.operation for entry in mem.log(memory=id)][:2] == ["restore", "delete"]

    def test_a_restored_text_is_embedded_by_a_job(self, tmp_path: Path) -> None:
        with MemOS(tmp_path, embedder=HashingEmbedder()) as mem:
            id = mem.add("one").ids[0]
            mem.update(id, "two")
            mem.restore(id, 1)
            mem.tick()
            mem.delete(id)
            mem.restore(id)
            mem.tick()
            mem.annotate(id, note="n")
            with mem._tools.store.read() as unit:
                assert len(unit.vectors_of(id)) == 1

    def test_a_restored_tensor_and_its_pins_are_as_they_were(self, mem: MemOS) -> None:
        source = mem.add("Ann lives in Lisbon.").cubes[0]
        id = mem.add("In Lisbon.", parents=[source]).ids[0]
        mem.update(source.id, "Ann lives in Porto.")
        mem.update(id, "In Porto.", parents=[source.id])
        cube = mem.restore(id, 1)

        assert cube.parents == (source.pin(),)
        assert [one.standing for one in cube.stale] == [Standing.CHANGED]


class TestTracing:
    def test_a_lineage_tells_who_changed_what(self, mem: MemOS, clock: FrozenClock) -> None:
        ann = mem.bind(user_id="ann")
        id = ann.add("one", provenance={"note": "first"}, session_id="s").ids[0]
        clock.advance(DAY)
        mem.update(id, "two", tags=["x"])
        ann.annotate(id, note="second")
        ann.delete(id)
        ann.restore(id, 1)
        lineage = ann.provenance(id)

        assert [(step.revision, step.cause, step.author) for step in lineage.steps] == [
            (1, "add", "users/ann"),
            (2, "update", "steward(default)"),
            (3, "annotate", "users/ann"),
            (4, "restore", "users/ann"),
        ]
        assert [step.note for step in lineage.steps] == ["first", None, "second", "first"]
        assert set(lineage.steps[1].changed) == {"content", "tags", "valid_from", "provenance"}
        assert lineage.steps[2].changed == ("provenance",)
        assert lineage.steps[2].deleted is not None
        assert (lineage.steps[3].restored, lineage.steps[3].deleted, lineage.deleted) == (1, None, None)
        assert (lineage.origin, lineage.session, lineage.provenance.note) == ("user_input", "s", "first")

    def test_the_graph_goes_up_and_down_through_every_generation(self, mem: MemOS) -> None:
        a, b = (mem.add(text, user_id="ann").cubes[0] for text in ("a", "b"))
        c = mem.add("c", user_id="ann", parents=[a, b]).cubes[0]
        d = mem.add("d", user_id="ann", parents=[c]).cubes[0]
        e = mem.add("e", user_id="ann", parents=[d, a]).cubes[0]
        lineage = mem.provenance(c.id)

        assert ids(lineage.sources) == [a.id, b.id]
        assert {node.id: node.generation for node in lineage.derived} == {d.id: 1, e.id: 2}
        assert {(arrow.source, arrow.made) for arrow in lineage.arrows} == {
            (a.id, c.id),
            (b.id, c.id),
            (c.id, d.id),
            (d.id, e.id),
            (a.id, e.id),
        }
        assert {arrow.standing for arrow in lineage.arrows} == {Standing.SAME}
        assert lineage.cut == ()

    def test_the_graph_tells_how_each_source_stands(self, mem: MemOS) -> None:
        a, b, c = (mem.add(text, user_id="ann").cubes[0] for text in "abc")
        d = mem.add("d", user_id="ann", parents=[a, b, c]).cubes[0]
        e = mem.add("e", user_id="ann", parents=[d]).ids[0]
        mem.update(a.id, "a changed")
        mem.delete(b.id)
        lineage = mem.provenance(d.id)
        arrows = {(arrow.source, arrow.made): arrow for arrow in lineage.arrows}

        assert (arrows[a.id, d.id].standing, arrows[a.id, d.id].read, arrows[a.id, d.id].current) == ("changed", 1, 2)
        assert (arrows[b.id, d.id].standing, arrows[b.id, d.id].current) == ("deleted", None)
        assert arrows[c.id, d.id].standing == "same"
        assert arrows[d.id, e].standing == "stale"
        standings = {node.id: node.standing.value for node in lineage.nodes}
        assert standings == {a.id: "same", b.id: "deleted", c.id: "same", d.id: "stale", e: "stale"}
        assert [one.id for one in lineage.stale] == [a.id, b.id]

    def test_what_was_made_from_an_earlier_version_is_no_longer_shown(self, mem: MemOS) -> None:
        a, b = mem.add("a").cubes[0], mem.add("b").cubes[0]
        c = mem.add("c", parents=[a]).ids[0]
        mem.update(c, "c anew", parents=[b])

        assert (mem.provenance(a.id).derived, ids(mem.provenance(b.id).derived)) == ((), [c])

    def test_a_deleted_memory_has_a_lineage(self, mem: MemOS) -> None:
        a = mem.add("a").cubes[0]
        b = mem.add("b", parents=[a]).ids[0]
        mem.delete(b)

        assert mem.provenance(b).deleted is not None
        assert [node.standing.value for node in mem.provenance(a.id).derived] == ["deleted"]

    def test_it_is_bounded_and_says_so(self, mem: MemOS) -> None:
        chain = [mem.add("0").cubes[0]]
        for n in range(1, 6):
            chain.append(mem.add(str(n), parents=[chain[-1]]).cubes[0])
        for n in range(5):
            mem.add(f"child {n}", parents=[chain[-1]])
        lineage = mem.provenance(chain[-1].id, depth=2, limit=3)

        assert ids(lineage.sources) == [chain[3].id, chain[4].id]
        assert len(lineage.derived) == 3
        assert lineage.cut == ("more sources beyond 2 generations", "more than 3 derivatives")
        assert mem.provenance(chain[-1].id, depth=5, limit=5).cut == ()
        for wrong in ({"depth": 0}, {"depth": 101}, {"limit": 0}, {"limit": 1001}, {"depth": True}):
            with pytest.raises(errors.InvalidInput):
                mem.provenance(chain[0].id, **wrong)

    def test_a_ring_is_walked_once(self, mem: MemOS) -> None:
        first = a_cube("a", id="a")
        b = a_cube("b", id="b", parents=(first.pin(),))
        a = first.derive(parents=(b.pin(),))
        mem.import_records([(a_record(b),), (a_record(a),)])  # nothing here makes one
        lineage = mem.provenance(a.id)

        assert ids(lineage.nodes) == [b.id, a.id]
        assert {(one.source, one.made) for one in lineage.arrows} == {(a.id, b.id), (b.id, a.id)}
        assert "see above" in lineage.text()
        assert parsed(lineage.svg()) is not None
        assert mem.get(a.id).stale == ()

    def test_a_very_wide_graph_is_drawn_within_its_bounds(self, mem: MemOS) -> None:
        source = mem.add("the one source").cubes[0]
        for n in range(130):
            mem.add(f"made {n}", parents=[source])
        lineage = mem.provenance(source.id)

        assert (len(lineage.derived), lineage.cut) == (100, ("more than 100 derivatives",))
        assert len(lineage.text().splitlines()) < 220
        assert len(parsed(lineage.svg())) < 220

    def test_somebody_elses_memory_has_no_lineage(self, mem: MemOS) -> None:
        secret = mem.add("Bo's secret.", user_id="bo").ids[0]
        refusals = []
        for id in (secret, a_cube().id):
            with pytest.raises(errors.UnknownMemory) as refused:
                mem.bind(user_id="ann").provenance(id)
            refusals.append(str(refused.value))

        assert len(set(refusals)) == 1

    def test_a_source_that_is_not_here_is_unknown_and_what_others_made_is_not_counted(self, mem: MemOS) -> None:
        """Only imports cross owners; whatever the other one does, the lineage of one's own stays the same."""
        ours = mem.add("Ann's own.", user_id="ann").cubes[0]
        theirs = a_cube("Bo's secret.", "users/bo")
        taken = [a_cube(f"Bo took {n}", "users/bo", parents=(ours.pin(),)) for n in range(5)]
        mixed = a_cube("made from both", "users/ann", parents=(theirs.pin(), ours.pin()))
        ann, seen = mem.bind(user_id="ann"), []

        def look() -> None:
            seen.append(ann.provenance(ours.id, limit=1))

        look()
        mem.import_records([(a_record(cube),) for cube in taken])
        look()
        mem.import_records([(a_record(mixed),)])
        lineage = ann.provenance(mixed.id)
        mem.import_records([(a_record(theirs),)])  # now there is somebody whose it is, and what was made from it closes
        look()
        mem.update(theirs.id, "another secret")
        look()
        mem.delete(theirs.id)
        look()

        assert all(one == seen[0] for one in seen)
        [unknown] = [node for node in lineage.nodes if node.id == theirs.id]
        assert unknown == Node(id=theirs.id, generation=-1, standing=Standing.UNKNOWN)
        assert "secret" not in lineage.text() + lineage.svg()
        with pytest.raises(errors.UnknownMemory):
            ann.provenance(mixed.id)
        assert len(mem.provenance(ours.id).derived) == 6  # the steward may know

    def test_the_look_is_audited(self, mem: MemOS) -> None:
        id = mem.add("a text").ids[0]
        mem.provenance(id)

        assert mem.log(memory=id)[0].operation == "provenance"


class TestDrawing:
    def test_what_names_and_notes_say_stays_text(self, mem: MemOS) -> None:
        evil = EVIL.replace("\x00", "")
        source = mem.add(f"{evil}\n└─ a forged line", user_id=evil).cubes[0]
        note = f"{evil}\nversions\n    9  forged"
        id = mem.add(evil, user_id=evil, parents=[source], provenance={"trigger": evil, "note": note}).ids[0]
        lineage = mem.bind(user_id=evil).provenance(id)
        shown, drawn = lineage.text(), lineage.svg()
        image = parsed(drawn)

        assert not set("\x1b\u202e\x07") & set(shown + drawn)
        assert not any(line.lstrip(" │").startswith(("└─ a forged", "9  forged")) for line in shown.splitlines())
        tags = {element.tag.rpartition("}")[2] for element in image.iter()}
        assert tags == {"svg", "title", "desc", "defs", "marker", "path", "rect", "text", "g"}
        names = {name for element in image.iter() for name in element.attrib}
        assert not {name for name in names if name.startswith("on") or "href" in name}

    def test_a_picture_says_what_it_shows(self) -> None:
        nodes = (
            Node(id="s", generation=-1, standing=Standing.UNKNOWN),
            Node(id="r", generation=0, standing=Standing.STALE, kind="plaintext", type="fact", revision=2, text="text"),
        )
        arrows = (Arrow(source="s", made="r", standing=Standing.UNKNOWN),)
        image = parsed(picture.draw("r", nodes, arrows, ["more than 1 sources"]))
        words = [element.text for element in image.iter() if element.text and element.text.strip()]

        assert image.get("role") == "img"
        assert image.get("aria-labelledby") == "title desc"
        assert "Lineage of memory r" in words
        assert "unknown memory" in words
        assert "fact · revision 2 · stale" in words
        assert "(more than 1 sources)" in words

    @pytest.mark.parametrize("text", ["word " * 40, "x" * 200, "漢字" * 60, ""])
    def test_a_long_text_is_cut_to_fit_its_box(self, text: str) -> None:
        node = Node(id="r", generation=0, standing=Standing.SAME, kind="plaintext", type="fact", revision=1, text=text)
        image = parsed(picture.draw("r", (node,), ()))
        lines = [one.text or "" for one in image.iter() if one.tag.endswith("text") and one.get("font-size") == "13"]

        assert len(lines) <= 2
        assert all(sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) <= 35 for line in lines)
        assert not text or len(text) < 70 or lines[-1].endswith("…")

    def test_a_deep_tree_is_told_without_recursion(self) -> None:
        nodes = tuple(Node(id=f"n{n}", generation=-n, standing=Standing.SAME, kind="plaintext") for n in range(3000))
        arrows = tuple(Arrow(source=f"n{n + 1}", made=f"n{n}", standing=Standing.SAME) for n in range(2999))

        assert tree.kinship("n0", nodes, arrows, ()).count("\n") == 2 * 2999

    def test_a_tree_names_what_was_read_and_what_is_current(self, mem: MemOS) -> None:
        a = mem.add("Ann lives in Lisbon.").cubes[0]
        b = mem.add("In Lisbon.", parents=[a]).ids[0]
        mem.update(a.id, "Ann lives in Porto.")
        lines = mem.provenance(b).text().splitlines()

        assert lines[-3:] == [
            "made from",
            "└─ “Ann lives in Porto.”",
            f"      {a.id}  fact · changed: revision 1 was read, 2 is current",
        ]
