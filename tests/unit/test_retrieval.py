"""Retrieval: what a search keeps in memory stays in step with the store, and every signal does what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos import MemOS
from pymemos.adapters.memory import MemoryStore
from pymemos.errors import OtherEmbedder
from pymemos.operation.retrieval.cues import Cue, cues_of
from pymemos.operation.retrieval.passages import PARTS, passages
from pymemos.operation.retrieval.routing import BY_MEANING, BY_WORDS, plan
from pymemos.operation.retrieval.signals import SIGNALS, Evidence, by_passage, nearby, of_conversation
from pymemos.operation.retrieval.space import Kind, Parts, Spaces
from pymemos.testing.acts import add, change, remove
from pymemos.testing.builders import ANA, a_vector, an_entry, the_next
from pymemos.testing.doubles import WHEN, FailingEmbedder, FrozenClock, HashingEmbedder

NOW = datetime(2025, 11, 12, 12, tzinfo=UTC)
MESSAGE = {"semantic_type": "message"}


def texts(hits):
    return [hit.cube.text for hit in hits]


class TestCues:
    @pytest.mark.parametrize(
        ("text", "cue"),
        [
            ("Do you like tea?", Cue.QUESTION),
            ("We met last week.", Cue.TIME),
            ("I can’t stand coriander.", Cue.PREFERENCE),
            ("My sister is allergic to nuts.", Cue.PREFERENCE),
            ("The kettle boils.", Cue.NONE),
        ],
    )
    def test_a_text_shows_its_cues(self, text, cue):
        assert cues_of(text) == cue


class TestPassages:
    @given(st.text(max_size=5_000), st.integers(20, 500))
    def test_nothing_is_lost_and_nothing_is_too_long(self, text, length):
        parts = passages(text, length=length)

        assert all(len(part) <= length for part in parts)
        if len(parts) < PARTS:
            assert "".join("".join(parts).split()) == "".join(text.split())

    def test_a_text_is_cut_where_a_sentence_ends(self):
        text = "One sentence is here. " * 5

        assert all(part.endswith(".") for part in passages(text, length=60))


class TestRouting:
    def test_names_are_taken_out_of_the_words_and_put_in_the_first_person(self):
        made = plan("What is Ana's favourite tea?", {"Ana": 0, "Bo": 1}, now=NOW, by_meaning=True)

        assert (made.words, made.meaning, made.people) == ("What is favourite tea?", "What is my favourite tea?", (0,))

    def test_one_word_of_a_name_names_its_bearer(self):
        assert plan("Where does Lovelace live?", {"Ada Lovelace": 3}, now=NOW, by_meaning=True).people == (3,)

    def test_a_name_within_another_word_is_no_name(self):
        assert plan("Is an anagram fun?", {"Ana": 0}, now=NOW, by_meaning=True).people == ()

    def test_a_question_that_is_only_a_name_still_means_something(self):
        assert plan("Ana", {"Ana": 0}, now=NOW, by_meaning=True).meaning

    @pytest.mark.parametrize(
        ("question", "reason"),
        [
            ("What did you suggest for the trip?", "it asks what the assistant said"),
            ("In what order did I bring up the topics?", "it asks in which order"),
            ("Give me a summary of the project.", "it asks for a summary"),
            ("Can you recommend a restaurant?", "it asks for a recommendation"),
            ("When did we move?", "it asks when"),
            ("What happened in May 2023?", "'May 2023' is"),
        ],
    )
    def test_a_plan_says_what_the_question_asks_for(self, question, reason):
        reasons = plan(question, {"Ana": 0}, now=NOW, by_meaning=True).reasons

        assert any(reason in one for one in reasons), reasons

    @pytest.mark.parametrize("question", ["When did we move?", "What happened in May 2023?"])
    def test_a_time_that_nothing_is_ranked_by_is_no_reason(self, question):
        assert plan(question, {}, now=NOW, by_meaning=True).reasons == ()

    def test_what_the_assistant_said_does_not_favour_the_user(self):
        asked = plan("What did you suggest?", {}, now=NOW, by_meaning=True).weights[Kind.CHAT]

        assert asked["user"] < 0 < BY_MEANING[Kind.CHAT]["user"]

    def test_without_an_embedder_nothing_is_weighed_by_meaning(self):
        assert all("meaning" not in own for own in BY_WORDS.values())


class TestSpace:
    """A space brought forward by changes is the space that is read at once."""

    def snapshot(self, spaces, store, embedder="echo"):
        with store.read() as unit:
            return spaces.snapshot(unit, ANA, embedder, 1)

    def seen(self, snapshot):
        return sorted(snapshot.columns.key[snapshot.seen].tolist())

    def test_it_follows_what_is_added_changed_and_removed(self):
        store, spaces = MemoryStore(), Spaces(10**9)
        tea, mint = an_entry("tea", vectors=[a_vector(1.0)], **MESSAGE), an_entry("mint", **MESSAGE)
        add(store, tea)
        assert len(self.seen(self.snapshot(spaces, store))) == 1
        add(store, mint)
        change(store, the_next(tea, "green tea"))
        followed = self.snapshot(spaces, store)
        anew = self.snapshot(Spaces(10**9), store)

        assert self.seen(followed) == self.seen(anew)
        assert len(followed.turns.rows) == 2
        remove(store, mint.cube.id)
        assert len(self.seen(self.snapshot(spaces, store))) == 1

    def test_a_name_that_is_not_heard_any_more_is_not_known_any_more(self):
        store, spaces = MemoryStore(), Spaces(10**9)
        ana, bo = (an_entry("tea", **{**MESSAGE, "speaker": name}) for name in ("Ana", "Bo"))
        add(store, ana, bo)
        assert self.snapshot(spaces, store).speakers.keys() == {"Ana", "Bo"}

        remove(store, bo.cube.id)

        assert self.snapshot(spaces, store).speakers.keys() == {"Ana"}

    def test_an_older_snapshot_sees_what_was_current_then(self):
        store, spaces = MemoryStore(), Spaces(10**9)
        tea = an_entry("tea")
        add(store, tea)
        with store.read() as old:
            spaces.snapshot(old, ANA, None, 0)
            add(store, an_entry("mint"))
            remove(store, tea.cube.id)
            self.snapshot(spaces, store, None)

            then = spaces.snapshot(old, ANA, None, 0)

        assert len(self.seen(then)) == 1
        assert self.seen(then) != self.seen(self.snapshot(spaces, store, None))

    def test_a_space_of_mostly_closed_rows_is_read_anew(self):
        store, spaces = MemoryStore(), Spaces(10**9)
        entries = [an_entry(f"text {n}") for n in range(1_200)]
        add(store, *entries)
        self.snapshot(spaces, store)
        remove(store, *[entry.cube.id for entry in entries[:1_100]])
        self.snapshot(spaces, store)
        add(store, an_entry("one more"))

        assert len(self.snapshot(spaces, store).columns.key) == 101

    def test_the_least_used_spaces_leave_when_there_is_too_much(self):
        store, spaces = MemoryStore(), Spaces(1)
        add(store, an_entry("tea"), an_entry("mint", "users/bo"))
        self.snapshot(spaces, store)
        with store.read() as unit:
            spaces.snapshot(unit, "users/bo", None, 0)

        assert [place[0] for place in spaces._spaces] == ["users/bo"]

    def test_a_namespace_that_is_not_there_is_none(self):
        with MemoryStore().read() as unit:
            assert Spaces(1).snapshot(unit, "users/nobody", None, 0) is None


@pytest.fixture
def conversation():
    """A snapshot of two conversations of three turns, and one turn without a session."""
    store = MemoryStore()
    said = [("a1", "s1"), ("a2", "s1"), ("a3", "s1"), ("b1", "s2"), ("b2", "s2"), ("b3", "s2"), ("alone", None)]
    moments = [WHEN + timedelta(minutes=n) for n in range(len(said))]
    add(
        store,
        *(
            an_entry(text, session=session, semantic_type="message", event_time=moment)
            for (text, session), moment in zip(said, moments, strict=True)
        ),
    )
    with store.read() as unit:
        return Spaces(10**9).snapshot(unit, ANA, None, 0)


class TestSignals:
    def test_neighbours_count_within_their_conversation_only(self, conversation):
        around = nearby(conversation, np.array([1, 0, 0, 0, 0, 0, 0], np.float32))

        assert around.tolist() == pytest.approx([0, 0.5, 0.25, 0, 0, 0, 0])

    def test_a_mean_is_over_the_neighbours_that_there_are(self, conversation):
        around = nearby(conversation, np.array([1, 0, 1, 0, 0, 0, 0], np.float32), mean=True)

        assert around.tolist() == pytest.approx([1 / 3, 1, 1 / 3, 0, 0, 0, 0])

    def test_the_best_turn_speaks_for_its_conversation(self, conversation):
        best = of_conversation(conversation, np.array([0, 3, 1, 0, 0, 2, 5], np.float32))

        assert best.tolist() == [3, 3, 3, 2, 2, 2, 5]

    def test_the_halves_of_an_exchange_are_about_one_thing(self, conversation):
        user = np.array([True, False, False, True, True, False, True])
        likeness = np.array([1, 2, 3, 4, 5, 6, 7], np.float32)
        nothing = np.zeros(7, np.float32)
        snapshot = conversation._replace(columns=conversation.columns._replace(user=user))
        made = plan("tea", {}, now=NOW, by_meaning=True)

        partner = SIGNALS["partner"].values(Evidence(snapshot, made, nothing, likeness, likeness))

        assert partner.tolist() == [2, 1, 0, 0, 6, 5, 0]

    def test_a_row_has_its_first_passage_and_its_best(self):
        parts = Parts(np.zeros((3, 1), np.float32), np.array([1, 3]), np.array([0, 2]))

        first, best = by_passage(np.array([0.2, 0.6, 0.4], np.float32), parts, 4)

        assert first.tolist() == pytest.approx([0, 0.2, 0, 0.4])
        assert best.tolist() == pytest.approx([0, 0.6, 0, 0.4])


class TestSearching:
    @pytest.fixture
    def clock(self):
        return FrozenClock(NOW)

    @pytest.fixture
    def mem(self, tmp_path, clock):
        with MemOS(tmp_path / "home", clock=clock, embedder=HashingEmbedder(256)) as mem:
            yield mem

    def test_meaning_finds_what_words_do_not(self, mem):
        mem.add("the an of tea", language="en")  # a text of function words has no terms but has a vector

        assert texts(mem.search("of the an")) == ["the an of tea"]

    def test_the_one_who_is_named_is_heard_first(self, mem):
        mem.add([{"role": "user", "name": name, "content": "I swim on Mondays."} for name in ("Bo", "Ana")])

        assert mem.search("When does Ana swim?")[0].cube.header.descriptive.speaker == "Ana"

    def test_what_was_said_at_the_time_that_is_named_comes_first(self, mem):
        for month in ("2025-03-10", "2025-05-10", "2025-07-10"):
            mem.add([{"role": "user", "name": "Bo", "content": "I repaired the boat.", "timestamp": f"{month}T10:00Z"}])

        [first, *_] = mem.search("What did Bo repair in May 2025?")
        assert first.cube.header.descriptive.event_time.month == 5
        assert "time" in str(first.why)

    @pytest.fixture
    def talks(self, mem):
        """Three conversations, the day of one birthday, and what was bought in each."""
        bought = {"2025-01-05": "a drum", "2025-02-27": "a ladder", "2025-06-10": "a lamp"}
        for number, (day, thing) in enumerate(bought.items()):
            turns = [("Clara", "My birthday is on 3 March." if number == 0 else "Good to see you."), ("Bo", thing)]
            messages = [
                {"role": "user", "name": name, "content": f"I bought {said}." if name == "Bo" else said}
                | {"timestamp": f"{day}T10:0{place}Z"}
                for place, (name, said) in enumerate(turns)
            ]
            mem.add(messages, session_id=f"s{number}")
        return mem

    @pytest.mark.parametrize(
        ("question", "thing"),
        [
            ("What did Bo buy in the week before Clara's birthday?", "a ladder"),
            ("What did Bo buy in our last conversation?", "a lamp"),
            ("What did Bo buy two sessions ago?", "a ladder"),
            ("What did Bo buy in our first conversation?", "a drum"),
        ],
    )
    def test_days_and_conversations_that_are_known_are_times(self, talks, question, thing):
        assert thing in texts(talks.search(question))[0]

    def test_a_conversation_that_goes_on_is_not_the_last(self, talks, clock):
        clock.now = datetime(2025, 6, 10, 10, 5, tzinfo=UTC)

        assert "a ladder" in texts(talks.search("What did Bo buy in our last conversation?"))[0]

    def test_a_day_that_was_told_anew_counts_and_a_deleted_one_is_forgotten(self, talks):
        question = "What did Bo buy on Clara's birthday?"
        [told] = [memory for memory in talks.list() if "birthday" in memory.text]

        talks.update(told.id, "My birthday is on 10 June.")
        assert any("10 June 2025" in reason for reason in talks.search(question).reasons)

        talks.delete(told.id)
        assert not any("June" in reason for reason in talks.search(question).reasons)

    def test_an_update_is_found_by_its_new_meaning(self, mem):
        id = mem.add("the an of").ids[0]
        mem.update(id, "who be was")

        assert texts(mem.search("who be was")) == ["who be was"]
        assert mem.search("the an of") == mem.search("the an of")
        assert mem._tools.store is not None
        with mem._tools.store.read() as unit:
            assert len(unit.vectors_of(id)) == 1

    def test_labels_alone_keep_the_vectors(self, mem):
        id = mem.add("tea").ids[0]
        asked = len(mem._tools.embedder.asked)
        mem.update(id, tags=["drink"])

        with mem._tools.store.read() as unit:
            assert len(unit.vectors_of(id)) == 1
        assert len(mem._tools.embedder.asked) == asked

    def test_what_is_appended_is_embedded_by_a_job(self, mem):
        id = mem.add("tea").ids[0]
        mem.append(id, "and mint")
        assert mem.tick().done

        with mem._tools.store.read() as unit:
            [vector] = unit.vectors_of(id)
        assert vector.values == HashingEmbedder(256).embed(["tea\nand mint"])[0].tobytes()

    def test_a_filter_and_a_session_narrow_what_is_found(self, mem):
        mem.add([{"role": "user", "content": "I like tea."}], session_id="s1")
        mem.add([{"role": "user", "content": "I like tea too."}], session_id="s2", tags=["x"])

        assert texts(mem.search("tea", session_id="s1")) == ["I like tea."]
        assert texts(mem.search("tea", filters={"tags": {"contains": "x"}})) == ["I like tea too."]

    def test_what_is_over_is_not_found(self, mem, clock):
        mem.add("The sale ends soon.", valid_to=NOW + timedelta(days=1))
        assert len(mem.search("sale")) == 1
        clock.advance(timedelta(days=2))

        assert len(mem.search("sale")) == 0

    def test_another_handle_on_the_store_is_noticed(self, mem, tmp_path):
        mem.add("tea")
        mem.search("tea")
        with MemOS(tmp_path / "home", embedder=HashingEmbedder(256)) as other:
            other.add("more tea")

        assert sorted(texts(mem.search("tea"))) == ["more tea", "tea"]

    def test_an_explanation_adds_up(self, mem):
        mem.add([{"role": "user", "name": "Bo", "content": "I repaired the boat."}])

        [hit] = mem.search("What did Bo repair?")
        assert {"words", "meaning", "speaker"} <= {signal.name for signal in hit.why}
        assert 0 < hit.score < 1


class TestEmbedders:
    def test_a_store_opens_with_its_own_embedder_only(self, tmp_path):
        MemOS(tmp_path, embedder=HashingEmbedder(8)).close()

        with pytest.raises(OtherEmbedder, match="pymemos reembed"):
            MemOS(tmp_path, embedder=HashingEmbedder(16))

    def test_a_store_opens_without_an_embedder_and_finds_by_words(self, tmp_path):
        with MemOS(tmp_path, embedder=HashingEmbedder(8)) as mem:
            mem.add("tea")

        with MemOS(tmp_path, embedder="none") as mem:
            hits = mem.search("tea")

        assert texts(hits) == ["tea"]
        assert "by words alone" in hits.explain()

    def test_reembedding_makes_all_vectors_anew_and_goes_on_where_it_was(self, tmp_path):
        with MemOS(tmp_path, embedder=HashingEmbedder(8)) as mem:
            for user in ("ana", "bo"):
                mem.add([{"role": "user", "content": f"text {n}"} for n in range(3)], user_id=user)
        seen = []
        with MemOS(tmp_path, embedder=HashingEmbedder(16), reembedding=True) as mem:
            assert mem.reembed(seen.append) == 6
            assert mem.reembed() == 0
        assert seen == [3, 6]

        with MemOS(tmp_path, embedder=HashingEmbedder(16)) as mem, mem._tools.store.read() as unit:
            assert unit.embedders() == {"hashing-16": 6}

    def test_what_was_there_before_the_embedder_is_counted_and_gets_vectors(self, tmp_path):
        with MemOS(tmp_path, embedder="none") as mem:
            mem.add(["mint tea", "black coffee"])
        with MemOS(tmp_path, embedder=HashingEmbedder(8)) as mem:
            mem.add("green tea")
            before = mem.search("tea").explain()

            assert mem.tick().done
            after = mem.search("tea").explain()

        assert "2 memories have no vectors yet" in before
        assert "no vectors" not in after

    def test_what_was_added_without_vectors_gets_them_later(self, tmp_path):
        embedder = FailingEmbedder()
        with MemOS(tmp_path, embedder=embedder) as mem:
            added = mem.add("mint tea")
            assert added.queued
            assert texts(mem.search("tea")) == ["mint tea"]
            embedder.down = False
            assert mem.tick().done

            with mem._tools.store.read() as unit:
                assert len(unit.vectors_of(added.ids[0])) == 1

    def test_a_search_goes_by_words_while_the_embedder_fails_and_says_so(self, tmp_path):
        embedder = FailingEmbedder()
        embedder.down = False
        with MemOS(tmp_path, embedder=embedder) as mem:
            mem.add("mint tea")
            embedder.down = True

            hits = mem.search("tea")

        assert texts(hits) == ["mint tea"]
        assert "the embedder failed" in hits.explain()

    def test_doctor_names_the_embedder_and_what_is_of_another(self, tmp_path):
        with MemOS(tmp_path, embedder=HashingEmbedder(8)) as mem:
            mem.add("tea")
            [finding] = [one for one in mem.doctor() if one.check == "embedder"]
            assert (finding.ok, finding.detail) == (True, "hashing-8; 1 vectors of hashing-8")

        with MemOS(tmp_path, embedder=HashingEmbedder(16), reembedding=True) as mem:
            [finding] = [one for one in mem.doctor() if one.check == "embedder"]
            assert not finding.ok
            assert "pymemos reembed" in finding.detail


class TestByWords:
    def test_a_new_store_without_an_embedder_says_once_that_it_is_searched_by_words(self, tmp_path, caplog):
        for _ in range(2):
            MemOS(tmp_path / "home").close()

        [said] = caplog.records
        assert "pymemos models prepare minilm" in said.getMessage()

    @pytest.mark.parametrize("meant", ["none", HashingEmbedder(8)])
    def test_who_chose_hears_nothing(self, tmp_path, caplog, meant):
        MemOS(tmp_path / "home", embedder=meant).close()

        assert not caplog.records
