"""What an application sees of MemOS, over both adapters."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pymemos import MemOS, SemanticType, Settings, errors
from pymemos.testing.doubles import FrozenClock

TALK = [
    {"role": "user", "name": "Ann", "content": "Rex loves the beach.", "id": "m1", "timestamp": "2023-05-08T13:00:00Z"},
    {"role": "assistant", "content": "How old is he?", "id": "m2", "timestamp": "2023-05-08T13:01:00Z"},
    {"role": "user", "name": "Ann", "content": "Four years.", "id": "m3", "timestamp": "2023-05-08T13:02:00Z"},
]


def texts(found: Any) -> list[str]:
    return [hit.cube.text for hit in found]


class TestAdding:
    def test_a_text_is_found_at_once(self, mem: MemOS) -> None:
        mem.add("I moved to Lisbon in May.", user_id="alice")

        assert texts(mem.search("Where did Alice move?", user_id="alice")) == ["I moved to Lisbon in May."]

    def test_a_conversation_becomes_one_memory_a_message_and_a_manifest(self, mem: MemOS) -> None:
        added = mem.add(TALK, user_id="ann")

        assert [cube.text for cube in added.cubes] == [message["content"] for message in TALK]
        assert added.episode is not None
        assert added.episode.payload.format == "episode"
        assert all(id in added.episode.text for id in added.ids)
        assert "beach" not in added.episode.text

    def test_hits_name_the_messages_that_they_came_from(self, mem: MemOS) -> None:
        mem.add(TALK, user_id="ann")

        assert mem.search("beach", user_id="ann", limit=1)[0].source_ids == ("m1",)

    def test_a_message_that_comes_again_is_kept_once(self, mem: MemOS) -> None:
        first = mem.add(TALK, user_id="ann")
        again = mem.add([*TALK, {"role": "user", "content": "And you?", "id": "m4"}], user_id="ann")

        assert again.ids[:3] == first.ids
        assert again.deduplicated == first.ids
        assert len(mem.list(user_id="ann")) == 4

    def test_the_same_id_with_another_text_is_another_message(self, mem: MemOS) -> None:
        mem.add(TALK, user_id="ann")
        added = mem.add([{"role": "user", "content": "Something else.", "id": "m1"}], user_id="ann")

        assert added.deduplicated == ()

    def test_a_message_that_was_edited_is_known_when_it_comes_again(self, mem: MemOS) -> None:
        id = mem.add(TALK[:1], user_id="ann").ids[0]
        mem.update(id, "Rex hates the beach.")
        again = mem.add(TALK[:1], user_id="ann")

        assert again.deduplicated == (id,)
        assert [cube.text for cube in mem.list(user_id="ann")] == ["Rex hates the beach."]

    def test_a_second_text_under_one_id_is_kept_once_too(self, mem: MemOS) -> None:
        other = [{"role": "user", "content": "Something else.", "id": "m1"}]
        mem.add(TALK, user_id="ann")
        first = mem.add(other, user_id="ann")

        assert mem.add(other, user_id="ann").ids == first.ids

    def test_two_equal_messages_in_one_call_are_two_memories(self, mem: MemOS) -> None:
        added = mem.add([{"role": "user", "content": "Yes."}, {"role": "user", "content": "Yes."}], user_id="ann")

        assert len(set(added.ids)) == 2

    def test_fields_of_a_message_that_are_not_ours_are_kept(self, mem: MemOS) -> None:
        added = mem.add([{"role": "tool", "content": "21 °C", "tool_call_id": "c1"}], user_id="ann")

        assert added.cubes[0].header.descriptive.metadata == {"message": {"tool_call_id": "c1"}}

    def test_a_message_has_metadata_of_its_own(self, mem: MemOS) -> None:
        mem.add(
            [{"content": "Tea", "metadata": {"topic": "food"}}, {"content": "Hi", "metadata": None}], metadata={"n": 1}
        )

        food = mem.list(filters={"metadata.topic": "food"})

        assert [cube.header.descriptive.metadata for cube in food] == [{"n": 1, "topic": "food"}]
        with pytest.raises(errors.InvalidInput, match="metadata of message 0"):
            mem.add([{"content": "Tea", "metadata": "food"}])

    def test_a_message_that_says_nothing_is_skipped(self, mem: MemOS) -> None:
        calls = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function"}]}
        silent = [{**calls, "content": None}, calls, {**calls, "content": ""}, {**calls, "content": []}]
        old = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
        added = mem.add([TALK[0], *silent, old, {"role": "user", "content": None}, TALK[1]], user_id="ann")

        assert ["Rex loves the beach.", "How old is he?"] == [cube.text for cube in added.cubes]
        assert (1, 2, 3, 4, 5, 6) == added.skipped
        assert added.episode is not None
        assert "How old is he?" in texts(mem.search("Rex", user_id="ann"))

    def test_words_beside_calls_of_tools_are_kept(self, mem: MemOS) -> None:
        calls = {"role": "assistant", "content": "Let me look.", "tool_calls": [{"id": "c1"}]}
        added = mem.add([calls, {"role": "user", "content": [{"type": "text", "text": "Do."}]}], user_id="ann")

        assert (["Let me look.", "Do."], ()) == ([cube.text for cube in added.cubes], added.skipped)
        assert {"message": {"tool_calls": [{"id": "c1"}]}} == added.cubes[0].header.descriptive.metadata

    def test_a_retry_skips_the_same_messages(self, mem: MemOS) -> None:
        given = [{"role": "assistant", "content": None}, *TALK]
        first = mem.add(given, user_id="ann", idempotency_key="k")
        again = mem.add(given, user_id="ann", idempotency_key="k")

        assert (again.replayed, again.ids, again.skipped) == (True, first.ids, (0,))

    def test_what_an_application_says_about_a_memory_comes_back(self, mem: MemOS) -> None:
        added = mem.add("Tea, never coffee.", user_id="ann", metadata={"n": 1}, tags=["taste"], type="user_preference")
        said = mem.get(added.ids[0]).header.descriptive

        assert (said.metadata, said.tags, said.semantic_type) == ({"n": 1}, ("taste",), SemanticType.PREFERENCE)

    def test_the_turn_before_is_context(self, mem: MemOS) -> None:
        mem.add(TALK, user_id="ann")

        assert "How old is he?" in texts(mem.search("Rex", user_id="ann"))

    def test_notes_are_no_conversation_and_share_no_context(self, mem: MemOS) -> None:
        mem.add("Rex loves the beach.", user_id="ann")
        mem.add("The car needs oil.", user_id="ann")

        assert texts(mem.search("Rex", user_id="ann")) == ["Rex loves the beach."]

    def test_the_conversation_goes_on_over_calls(self, mem: MemOS) -> None:
        for message in TALK:
            mem.add([message], user_id="ann", run_id="s1")

        assert "How old is he?" in texts(mem.search("Rex", user_id="ann"))

    def test_a_talk_of_another_day_is_no_context(self, mem: MemOS, clock: FrozenClock) -> None:
        mem.add([{"role": "user", "content": "Rex loves the beach."}], user_id="ann")
        clock.advance(timedelta(days=1))
        mem.add([{"role": "user", "content": "The car needs oil."}], user_id="ann")

        assert texts(mem.search("Rex", user_id="ann")) == ["Rex loves the beach."]


class TestChanging:
    def test_an_update_is_a_new_version_and_the_old_one_stays(self, mem: MemOS) -> None:
        id = mem.add("Ann lives in Porto.", user_id="ann").ids[0]
        newer = mem.update(id, "Ann lives in Lisbon.")

        assert newer.revision == 2
        assert [record.cube.text for record in mem.history(id)] == ["Ann lives in Porto.", "Ann lives in Lisbon."]
        assert mem.get(id, version=1).text == "Ann lives in Porto."
        assert mem.get(id, version=newer.version).text == "Ann lives in Lisbon."
        assert texts(mem.search("Porto", user_id="ann")) == []

    def test_search_asks_what_was_true_and_what_was_known(self, mem: MemOS, clock: FrozenClock) -> None:
        id = mem.add("Ann lives in Porto.", user_id="ann").ids[0]
        between = clock.advance(timedelta(days=10))
        clock.advance(timedelta(days=10))
        mem.update(id, "Ann lives in Lisbon.")
        later = clock.advance(timedelta(days=1))

        assert texts(mem.search("Ann lives", user_id="ann", valid_at=between)) == ["Ann lives in Porto."]
        assert texts(mem.search("Ann lives", user_id="ann", known_at=between)) == ["Ann lives in Porto."]
        assert texts(mem.search("Ann lives", user_id="ann", valid_at=later)) == ["Ann lives in Lisbon."]
        assert texts(mem.search("Ann lives", user_id="ann", known_at=between - timedelta(days=30))) == []

    def test_what_is_over_is_not_served_as_present(self, mem: MemOS, clock: FrozenClock) -> None:
        end = clock.now + timedelta(days=1)
        mem.add("The sale runs.", user_id="ann", valid_to=end)
        clock.advance(timedelta(days=2))

        assert texts(mem.search("sale", user_id="ann")) == []
        assert texts(mem.search("sale", user_id="ann", valid_at=end - timedelta(hours=1))) == ["The sale runs."]

    def test_append_keeps_the_text_and_adds_a_line(self, mem: MemOS) -> None:
        id = mem.add("Milk.", user_id="ann").ids[0]

        assert mem.append(id, "Bread.").text == "Milk.\nBread."

    def test_labels_change_without_the_text(self, mem: MemOS) -> None:
        id = mem.add("Milk.", user_id="ann").ids[0]
        newer = mem.update(id, tags=["food"])

        assert (newer.text, newer.header.descriptive.tags) == ("Milk.", ("food",))
        assert newer.content_hash == mem.get(id, version=1).content_hash
        assert newer.version != mem.get(id, version=1).version

    def test_a_manifest_keeps_its_text_and_type_and_takes_labels(self, mem: MemOS) -> None:
        episode = mem.add(TALK, user_id="ann").episode
        assert episode is not None
        for act in (
            lambda: mem.update(episode.id, "Nothing was said."),
            lambda: mem.append(episode.id, "And then?"),
            lambda: mem.update(episode.id, type="fact"),
        ):
            with pytest.raises(errors.InvalidInput, match="update its messages"):
                act()

        assert mem.update(episode.id, tags=["dog"]).text == episode.text

    def test_a_change_of_a_turn_changes_the_context_of_the_next(self, mem: MemOS) -> None:
        id = mem.add(TALK, user_id="ann").ids[0]
        mem.update(id, "Bello loves the forest.")

        assert "How old is he?" in texts(mem.search("Bello", user_id="ann"))
        assert texts(mem.search("Rex", user_id="ann")) == []

    def test_a_deleted_turn_leaves_no_word_behind_in_the_next(self, mem: MemOS) -> None:
        id = mem.add(TALK, user_id="ann").ids[0]
        mem.delete(id)

        assert texts(mem.search("Rex beach", user_id="ann")) == []

    def test_diff_shows_what_changed(self, mem: MemOS) -> None:
        id = mem.add("Ann lives in Porto.", user_id="ann").ids[0]
        mem.update(id, "Ann lives in Lisbon.", tags=["home"])
        difference = mem.diff(id, 1, 2)

        assert "-Ann lives in Porto." in difference.text
        assert "+Ann lives in Lisbon." in difference.text
        assert difference.fields["tags"] == ((), ("home",))

    def test_a_deleted_memory_is_gone_but_history_knows_it(self, mem: MemOS) -> None:
        id = mem.add("Milk.", user_id="ann").ids[0]

        assert mem.delete(id).ids == (id,)
        assert len(mem.list(user_id="ann")) == 0
        assert mem.history(id)[-1].retired is not None
        with pytest.raises(errors.UnknownMemory):
            mem.get(id)

    def test_a_scope_is_deleted_whole(self, mem: MemOS) -> None:
        mem.add(TALK, user_id="ann", session_id="s1")
        mem.add("Milk.", user_id="ann")
        mem.delete(user_id="ann", session_id="s1")

        assert [cube.text for cube in mem.list(user_id="ann", episodes=True)] == ["Milk."]


class TestIdentity:
    def test_nobody_sees_what_is_somebody_elses(self, mem: MemOS) -> None:
        mem.add("Ann's secret.", user_id="ann")

        assert texts(mem.search("secret", user_id="bo")) == []
        assert texts(mem.search("secret")) == []
        assert texts(mem.search("secret", agent_id="ann")) == []

    def test_a_foreign_id_looks_exactly_like_an_unknown_one(self, mem: MemOS) -> None:
        id = mem.add("Ann's secret.", user_id="ann").ids[0]
        bo = mem.bind(user_id="bo")
        seen = []
        for asked in (id, id[:-4] + "0000", "rubbish"):
            for act in (bo.get, bo.history, bo.delete, lambda id: bo.update(id, "x"), lambda id: bo.diff(id, 1, 1)):
                with pytest.raises(errors.UnknownMemory) as refused:
                    act(asked)
                seen.append((type(refused.value), str(refused.value)))

        assert len(set(seen)) == 1

    def test_a_bound_handle_can_only_narrow(self, mem: MemOS) -> None:
        ann = mem.bind(user_id="ann")
        ann.add("Milk.", session_id="s1")

        assert texts(ann.search("milk")) == ["Milk."]
        assert texts(ann.bind(session_id="s2").search("milk")) == []
        with pytest.raises(errors.CannotWiden):
            ann.search("milk", user_id="bo")
        with pytest.raises(errors.CannotWiden):
            ann.bind(session_id="s1").search("milk", session_id="s2")

    def test_a_bound_handle_is_no_steward(self, mem: MemOS) -> None:
        ann = mem.bind(user_id="ann")

        for act in (ann.doctor, ann.tick, ann.jobs, lambda: ann.backup("x"), lambda: ann.control_job("x", "retry")):
            with pytest.raises(errors.NotAllowed):
                act()

    def test_an_agent_remembers_for_itself_and_beside_a_user(self, mem: MemOS) -> None:
        mem.add("I answer briefly.", agent_id="bot")
        mem.add("Ann likes tea.", user_id="ann", agent_id="bot")

        assert texts(mem.search("briefly", agent_id="bot")) == ["I answer briefly."]
        assert texts(mem.search("tea", user_id="ann")) == ["Ann likes tea."]
        assert texts(mem.search("tea", user_id="ann", agent_id="other")) == []

    def test_the_log_tells_who_did_what_and_never_what_was_said(self, mem: MemOS) -> None:
        id = mem.add("A very secret thing.", user_id="ann").ids[0]
        mem.search("secret", user_id="ann")
        with pytest.raises(errors.UnknownMemory):
            mem.get(id, user_id="bo")
        log = mem.log()

        assert {(entry.operation, entry.caller.namespace, entry.allowed) for entry in log} >= {
            ("add", "users/ann", True),
            ("search", "users/ann", True),
            ("get", "users/bo", False),
        }
        assert "secret" not in repr(log)
        assert [entry.memories for entry in mem.log(operation="add")] == [(id,)]
        assert [entry.memories for entry in mem.log(operation="add", memory_kind="plaintext")] == [(id,)]
        assert mem.log(memory_type="event") == []
        assert all(entry.namespace == "users/bo" for entry in mem.log(user_id="bo"))


class TestRepeating:
    def test_a_retry_with_its_key_returns_the_first_result(self, mem: MemOS) -> None:
        first = mem.add(TALK, user_id="ann", idempotency_key="k1")
        again = mem.add(TALK, user_id="ann", idempotency_key="k1")

        assert again.replayed
        assert again.ids == first.ids
        assert len(mem.list(user_id="ann")) == 3

    def test_a_retry_names_what_was_deleted_since_and_brings_nothing_back(self, mem: MemOS) -> None:
        first = mem.add(TALK, user_id="ann", idempotency_key="k1")
        assert first.episode is not None
        mem.update(first.ids[1], "How old is Rex?")
        for id in (first.ids[0], first.ids[1], first.episode.id):
            mem.delete(id)
        again = mem.add(TALK, user_id="ann", idempotency_key="k1")

        assert (again.replayed, again.ids) == (True, first.ids)
        assert [cube.text for cube in again.cubes] == ["Rex loves the beach.", "How old is Rex?", "Four years."]
        assert again.episode == first.episode
        assert [cube.id for cube in mem.list(user_id="ann", episodes=True)] == [first.ids[2]]

    def test_a_retry_of_an_update_that_was_deleted_since_returns_its_version(self, mem: MemOS) -> None:
        id = mem.add("Milk.", user_id="ann").ids[0]
        first = mem.update(id, "Bread.", idempotency_key="u1")
        mem.delete(id)

        assert mem.update(id, "Bread.", idempotency_key="u1") == first
        assert len(mem.list(user_id="ann")) == 0

    def test_a_key_is_not_good_for_another_request(self, mem: MemOS) -> None:
        mem.add("Milk.", user_id="ann", idempotency_key="k1")

        with pytest.raises(errors.KeyReused, match="k1"):
            mem.add("Bread.", user_id="ann", idempotency_key="k1")
        mem.add("Bread.", user_id="bo", idempotency_key="k1")

    def test_a_retry_of_an_update_is_no_second_update(self, mem: MemOS) -> None:
        id = mem.add("Milk.", user_id="ann").ids[0]
        first = mem.update(id, "Bread.", expected=1, idempotency_key="u1")
        mem.update(id, "Eggs.")
        again = mem.update(id, "Bread.", expected=1, idempotency_key="u1")

        assert again.version == first.version
        assert mem.get(id).text == "Eggs."

    def test_a_change_against_a_stale_version_is_refused(self, mem: MemOS) -> None:
        id = mem.add("Milk.", user_id="ann").ids[0]
        mem.update(id, "Bread.", expected=1)

        with pytest.raises(errors.StaleVersion, match="revision 2"):
            mem.update(id, "Eggs.", expected=1)
        with pytest.raises(errors.StaleVersion):
            mem.delete(id, expected=1)
        assert mem.get(id).text == "Bread."


EARLY, LATE = "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"  # outside the calendar in UTC


def nested(depth: int, key: str = "k") -> Any:
    """A mapping in a mapping in a mapping, with a filter at the bottom."""
    inner: Any = {"speaker": "Ann"}
    for _ in range(depth):
        inner = {key: inner}
    return inner


BAD_CALLS: list[tuple[str, Any, type[Exception], str]] = [
    ("an empty scope on delete", lambda m: m.delete(), errors.EmptyScope, "name an id, a user"),
    ("an empty text", lambda m: m.add("  "), errors.InvalidInput, "empty"),
    ("no text", lambda m: m.add(None), errors.InvalidInput, "NoneType"),
    ("no messages", lambda m: m.add([]), errors.InvalidInput, "at least one"),
    ("messages of nothing", lambda m: m.add([{"content": None}] * 2), errors.InvalidInput, "no message says anything"),
    ("one message of nothing", lambda m: m.add({"content": None}), errors.InvalidInput, "at least one message with"),
    ("an empty message", lambda m: m.add([{"content": []}]), errors.InvalidInput, "message 0 is empty"),
    ("a message without content", lambda m: m.add([{"role": "user"}]), errors.InvalidInput, "message 0"),
    ("half a surrogate pair", lambda m: m.add("\ud800"), errors.InvalidInput, "surrogate"),
    ("a text over the limit", lambda m: m.add("x" * 1_000_001), errors.TextTooLong, "text_limit"),
    ("a naive time", lambda m: m.add("x", timestamp=datetime(2025, 1, 1)), errors.NaiveDatetime, "time zone"),
    ("no time at all", lambda m: m.add("x", timestamp="soon"), errors.InvalidInput, "soon"),
    ("a time beyond the calendar", lambda m: m.add("x", timestamp=1e20), errors.InvalidInput, "Unix"),
    ("an interval that ends first", lambda m: m.add("x", valid_from=2, valid_to=1), errors.InvalidInput, "after"),
    ("tags as one text", lambda m: m.add("x", tags="a"), errors.InvalidInput, "list"),
    ("metadata that is no JSON", lambda m: m.add("x", metadata={"a": object()}), errors.InvalidInput, "JSON"),
    ("a number too large", lambda m: m.add("x", metadata={"a": 2**70}), errors.InvalidInput, "64"),
    ("an unknown type", lambda m: m.add("x", type="novel"), errors.InvalidInput, "fact"),
    ("a type that is the system's", lambda m: m.add("x", type="episode"), errors.InvalidInput, "use one of message, f"),
    ("it for messages", lambda m: m.add(TALK, type=SemanticType.EPISODE), errors.InvalidInput, "use one of message, f"),
    ("it for an update", lambda m: m.update(m.list()[0].id, type="episode"), errors.InvalidInput, "one of message, f"),
    ("a type that is a list", lambda m: m.add("x", type=["fact"]), errors.InvalidInput, "use one of message, fact"),
    ("an unknown language", lambda m: m.add("x", language="xx"), errors.InvalidInput, "xx"),
    ("an empty user", lambda m: m.add("x", user_id=""), errors.InvalidInput, "user"),
    ("a user that is no text", lambda m: m.add("x", user_id=7), errors.InvalidInput, "7"),
    ("NUL in a user", lambda m: m.add("x", user_id="a\0b"), errors.InvalidInput, "NUL character at 1; pass a name"),
    ("NUL in an agent", lambda m: m.search("x", agent_id="\0a"), errors.InvalidInput, "agent .* NUL"),
    ("NUL for a session", lambda m: m.add("x", session_id="\0"), errors.InvalidInput, "session .* NUL"),
    ("NUL in a bound role", lambda m: m.bind(role="a\0"), errors.InvalidInput, "role .* NUL"),
    ("NUL in a tag", lambda m: m.add("x", tags=["a\0"]), errors.InvalidInput, "tags .* NUL"),
    ("NUL in a speaker", lambda m: m.add({"content": "x", "name": "a\0"}), errors.InvalidInput, "message 0.* NUL"),
    ("NUL in a key", lambda m: m.add("x", idempotency_key="a\0"), errors.InvalidInput, "idempotency_key .* NUL"),
    ("two names of a session", lambda m: m.add("x", run_id="a", session_id="b"), errors.InvalidInput, "one"),
    ("an unknown filter field", lambda m: m.search("x", filters={"colour": 1}), errors.UnknownField, "metadata.colour"),
    ("an unknown operator", lambda m: m.search("x", filters={"tags": {"like": 1}}), errors.UnknownOperator, "contains"),
    ("a filter with a huge number", lambda m: m.list(filters={"uses": 2**70}), errors.InvalidInput, "64 bits"),
    ("half a pair in a filter", lambda m: m.list(filters={"speaker": "\ud800"}), errors.InvalidInput, "surrogate"),
    ("a filter that is none", lambda m: m.list(filters=[1]), errors.InvalidInput, "filter"),
    ("a limit of nothing", lambda m: m.search("x", limit=0), errors.InvalidInput, "limit"),
    ("an update of nothing", lambda m: m.update("x"), errors.InvalidInput, "changes nothing"),
    ("an unknown id", lambda m: m.get("01890000-0000-7000-8000-000000000000"), errors.UnknownMemory, "no such memory"),
    ("an unknown state of jobs", lambda m: m.jobs(state="lazy"), errors.InvalidInput, "ready"),
    ("a time before the calendar", lambda m: m.add("x", timestamp=EARLY), errors.InvalidInput, "years 1 to 9999"),
    ("a time after the calendar", lambda m: m.search("x", valid_at=LATE), errors.InvalidInput, "years 1 to 9999"),
    ("a filter before the calendar", lambda m: m.list(filters={"created": EARLY}), errors.InvalidInput, "years 1"),
    ("a language that is a number", lambda m: m.add("x", language=5), errors.InvalidInput, "language"),
    ("half a pair in an id", lambda m: m.get("\ud800"), errors.InvalidInput, "surrogate"),
    ("an id that is a list", lambda m: m.delete(["x"]), errors.InvalidInput, "id is"),
    ("an id that is a number", lambda m: m.history(5), errors.InvalidInput, "id is 5"),
    ("half a pair in an id to update", lambda m: m.update("\ud800", "x"), errors.InvalidInput, "surrogate"),
    ("half a pair in an id to compare", lambda m: m.diff("\ud800", 1, 2), errors.InvalidInput, "surrogate"),
    ("a version that is none", lambda m: m.get("x", version={}), errors.InvalidInput, "version"),
    ("an expected version that is none", lambda m: m.update("x", "y", expected=1.0), errors.InvalidInput, "expected"),
    ("half a pair behind which to list", lambda m: m.list(after="\ud800"), errors.InvalidInput, "after"),
    ("half a pair in the log", lambda m: m.log(memory="\ud800"), errors.InvalidInput, "memory"),
    ("a caller that is a number", lambda m: m.log(caller=5), errors.InvalidInput, "caller"),
    ("a kind that there is not", lambda m: m.log(memory_kind="thought"), errors.InvalidInput, "plaintext"),
    ("a type that there is not", lambda m: m.log(memory_type="thought"), errors.InvalidInput, "memory_type"),
    ("metadata without a bottom", lambda m: m.add("x", metadata=nested(3_000)), errors.InvalidInput, "100 deep"),
    ("metadata below the limit", lambda m: m.add("x", metadata=nested(101)), errors.InvalidInput, "100 deep"),
    ("a filter without a bottom", lambda m: m.list(filters=nested(3_000, "NOT")), errors.InvalidInput, "100 deep"),
    ("a filter of a number", lambda m: m.list(filters={5: 1}), errors.InvalidInput, "5"),
    ("half a pair in a field", lambda m: m.list(filters={"metadata.\ud800": 1}), errors.InvalidInput, "Unicode"),
    ("a blob that is a text", lambda m: m.put_blob("x"), errors.InvalidInput, "bytes"),
    ("a blob from a text file", lambda m: m.put_blob(io.StringIO("x")), errors.InvalidInput, "bytes"),
    ("records that are texts", lambda m: m.import_records(["x"]), errors.InvalidInput, "from_line"),
    ("records that are lines", lambda m: m.import_records(m.export_lines()), errors.InvalidInput, "read the lines"),
    ("records that are a number", lambda m: m.import_records(5), errors.InvalidInput, "from_line"),
    ("a job that is a number", lambda m: m.control_job(5, "retry"), errors.InvalidInput, "id is 5"),
    ("a priority that is a word", lambda m: m.enqueue("k", priority="high"), errors.InvalidInput, "priority"),
    ("a priority out of bounds", lambda m: m.enqueue("k", priority=1 << 70), errors.InvalidInput, "priority"),
    ("no attempts at a job", lambda m: m.enqueue("k", max_attempts=0), errors.InvalidInput, "max_attempts"),
    ("attempts without end", lambda m: m.enqueue("k", max_attempts=None), errors.InvalidInput, "from 1 to"),
    ("half a pair in a dedup key", lambda m: m.enqueue("k", dedup_key="\ud800"), errors.InvalidInput, "dedup_key"),
    ("a turn of many jobs", lambda m: m.tick(limit="all"), errors.InvalidInput, "limit"),
    ("an unknown job", lambda m: m.control_job("x", "retry"), errors.UnknownJob, "pymemos jobs"),
]


@pytest.mark.parametrize(("act", "error", "says"), [case[1:] for case in BAD_CALLS], ids=[c[0] for c in BAD_CALLS])
def test_bad_input_is_refused_with_the_next_step_and_nothing_is_lost(
    mem: MemOS, act: Any, error: type[Exception], says: str
) -> None:
    mem.add("Milk.")

    with pytest.raises(error, match=says):
        act(mem)
    assert [cube.text for cube in mem.list()] == ["Milk."]


def test_metadata_and_filters_may_be_nested_up_to_the_limit(mem: MemOS) -> None:
    id = mem.add("Deep.", metadata=nested(99)).ids[0]

    assert mem.get(id).header.descriptive.metadata == nested(99)
    assert [cube.id for cube in mem.list(filters=nested(99, "NOT"))] == [id]


def test_a_bad_message_among_good_ones_stores_none_of_them(mem: MemOS) -> None:
    with pytest.raises(errors.InvalidInput, match="message 1"):
        mem.add([{"content": "Good."}, {"content": ""}])

    assert len(mem.list()) == 0


def test_a_listing_goes_on_page_by_page(mem: MemOS) -> None:
    mem.add([{"content": f"note {n}"} for n in range(5)], user_id="ann")
    seen, after = [], None
    while True:
        page = mem.list(user_id="ann", limit=2, after=after)
        seen += [cube.text for cube in page]
        after = page.after
        if after is None:
            break

    assert seen == [f"note {n}" for n in range(5)]


def test_uses_are_counted_without_a_new_version(mem: MemOS) -> None:
    id = mem.add("Milk.", user_id="ann").ids[0]
    before = mem.get(id)
    mem.search("milk", user_id="ann")
    mem.log()  # writes what waits
    after = mem.get(id)

    assert after.version == before.version
    assert after.header.behaviour.uses == 2


def test_times_come_back_in_utc(mem: MemOS) -> None:
    added = mem.add("Noon in Lisbon.", timestamp="2025-06-01T13:00:00+01:00")

    assert mem.get(added.ids[0]).header.descriptive.event_time == datetime(2025, 6, 1, 12, tzinfo=UTC)


SCRIPTS = {
    "Chinese": ("我们上周在杭州买了一只猫", "杭州 猫", "今天天气很好"),
    "Japanese": ("先週京都でラーメンを食べました", "京都のラーメン", "明日は会議があります"),
    "Thai": ("เมื่อวานฉันไปตลาดน้ำ", "ตลาดน้ำ", "วันนี้อากาศดี"),
    "Russian": ("Мы переехали в новую квартиру", "новая квартира", "Завтра будет дождь"),
    "Arabic": ("اشتريت كتابا جديدا من المكتبة", "المكتبة", "الطقس جميل اليوم"),
    "Hindi": ("मैंने दिल्ली में एक घर खरीदा", "दिल्ली घर", "कल बारिश होगी"),
    "Greek": ("Αγοράσαμε ένα σπίτι στην Αθήνα", "σπίτι Αθήνα", "Αύριο θα βρέξει"),
    "Korean": ("지난주에 부산에서 자전거를 샀어요", "부산 자전거", "내일 비가 와요"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_findable(mem: MemOS, script: str) -> None:
    wanted, query, other = SCRIPTS[script]
    mem.add(wanted)
    mem.add(other)

    assert texts(mem.search(query, limit=1)) == [wanted]


def test_a_text_whose_language_does_not_show_is_findable_beside_others(mem: MemOS) -> None:
    mem.add("Wir haben gestern in der Stadt ein neues Fahrrad gekauft.", user_id="ann")
    mem.add("Chocolate cookies recipes", user_id="ann")

    assert texts(mem.search("chocolate", user_id="ann")) == ["Chocolate cookies recipes"]


def test_keys_inside_the_store_are_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", config_dir=tmp_path / "home" / "keys")

    with pytest.raises(errors.InvalidInput, match="outside"):
        MemOS(settings=settings)


def test_a_store_without_its_key_says_so(tmp_path: Path) -> None:
    MemOS(settings=Settings(home=tmp_path / "home", config_dir=tmp_path / "a")).close()

    with pytest.warns(UserWarning, match="instance key"):
        MemOS(settings=Settings(home=tmp_path / "home", config_dir=tmp_path / "b")).close()


def test_dates_and_names_are_findable(mem: MemOS) -> None:
    mem.add(TALK, user_id="ann")
    mem.add(
        [{"role": "user", "name": "Bo", "content": "I was ill.", "timestamp": "2024-01-02T09:00:00Z"}], user_id="ann"
    )

    assert texts(mem.search("What happened on 2 January 2024?", user_id="ann", limit=1)) == ["I was ill."]
    assert texts(mem.search("What did Bo say?", user_id="ann", limit=1)) == ["I was ill."]
