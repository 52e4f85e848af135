"""The judged protocol, with a chat model that follows a script."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.small import a_case, a_question

from pymemos.errors import ModelError
from pymemos.evaluation.judged import Completing, answer_prompt, judge, judge_prompt, token_f1, verdict
from pymemos.evaluation.systems import Bm25, Passage
from pymemos.testing.scripted import ScriptedChat

MOVED = a_question("Where did Ines move?", "t1", category="moves", answer="to Lisbon")
CAT = a_question("What is the name of the cat?", "t2", category="cats", answer="Biscuit")
TRICK = a_question("Who sold the boat?", "t2", category="adversarial", answer="nobody")
UNKNOWN = a_question("What else?", "t1")
CASE = a_case("Ines said: I move to Lisbon.", "The name of the cat is Biscuit.", questions=[MOVED, CAT, TRICK, UNKNOWN])


def by_content(messages):
    """Answers one question rightly and the other not, and judges by comparing."""
    (message,) = messages
    text = message["content"]
    if "Reply with one word" in text:
        return "CORRECT" if "mark: Lisbon" in text else "WRONG"
    return "Lisbon" if "Question: Where did Ines move?" in text else "Pelican"


class TestJudge:
    def test_answers_are_marked_and_averaged_over_questions_and_categories(self):
        report = judge([CASE], Bm25(), ScriptedChat(by_content), apart=("adversarial",))

        assert (2, 0.5, 0.0) == (report.overall.questions, report.overall.judge, report.overall.judge_sd)
        assert {"moves": 1.0, "cats": 0.0} == {name: one.judge for name, one in report.categories.items()}
        assert ["Lisbon", "Pelican"] == [one.answer for one in report.answers]
        assert ("BM25", 20, 3, "approximate_wordpieces") == (report.system, report.top_k, report.runs, report.tokens)

    def test_the_deviation_is_that_of_the_means_of_the_runs(self):
        chat = ScriptedChat(["Lisbon", "CORRECT", "WRONG", "Biscuit", "CORRECT", "WRONG"])

        report = judge([CASE], Bm25(), chat, apart=("adversarial",), runs=2)

        assert (0.5, 0.5) == (report.overall.judge, report.overall.judge_sd)

    def test_another_model_can_judge(self):
        answering, judging = ScriptedChat(["Lisbon", "Biscuit"]), ScriptedChat(["CORRECT", "CORRECT"])

        report = judge([CASE], Bm25(), answering, judged_by=judging, apart=("adversarial",), runs=1)

        assert 1.0 == report.overall.judge
        assert (2, 2) == (len(answering.calls), len(judging.calls))

    def test_questions_apart_and_without_an_answer_are_not_asked(self):
        chat = ScriptedChat(by_content)

        judge([CASE], Bm25(), chat, apart=("adversarial",), runs=1)

        assert not [call for call in chat.calls if TRICK.text in str(call) or UNKNOWN.text in str(call)]

    def test_a_limit_is_kept_over_cases(self):
        assert 3 == judge([CASE, CASE], Bm25(), ScriptedChat(by_content), limit=3, runs=1).overall.questions

    def test_a_mark_that_cannot_be_read_is_wrong_and_counted(self):
        chat = ScriptedChat(["Lisbon", "I am not sure."])

        report = judge([CASE], Bm25(), chat, limit=1, runs=1)

        assert (0.0, 1) == (report.overall.judge, report.overall.unreadable)

    def test_the_context_is_what_was_found_and_its_tokens_are_counted(self):
        chat = ScriptedChat(["Lisbon", "CORRECT"])

        report = judge([CASE], Bm25(), chat, limit=1, runs=1, top_k=1, count=lambda text: len(text.split()))

        assert "user: Ines said: I move to Lisbon." in chat.calls[0][0]["content"]
        assert "Biscuit" not in chat.calls[0][0]["content"]
        assert 7 == report.overall.context_tokens

    def test_search_and_answer_are_timed(self):
        report = judge([CASE], Bm25(), ScriptedChat(by_content), limit=1)

        (one,) = report.answers
        assert 0 < one.search_seconds <= one.total_seconds < 1
        assert one.total_seconds * 1000 == report.overall.total_ms["p50"]


class TestPrompts:
    PASSAGES = (Passage(turns=("t1",), text="[2023-05-08] Ines: I paid $5\nfor bread."),)

    def test_a_memory_is_a_line_and_dollars_are_no_placeholders(self):
        prompt = answer_prompt(a_question("What did $x cost?"), self.PASSAGES)

        assert "\n[2023-05-08] Ines: I paid $5 for bread.\n" in prompt
        assert "Question: What did $x cost?" in prompt

    def test_the_day_of_the_question_is_told_where_it_is_known(self):
        asked = a_question("When?", asked=datetime(2023, 6, 1, tzinfo=UTC))

        assert "asked on 2023-06-01" in answer_prompt(asked, ())
        assert "asked on" not in answer_prompt(a_question("When?"), ())

    def test_the_judge_sees_question_expectation_and_answer(self):
        prompt = judge_prompt(MOVED, "Porto, I think")

        assert all(part in prompt for part in (MOVED.text, MOVED.answer, "Porto, I think"))


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("CORRECT", True),
        ("wrong.", False),
        ("**Correct**", True),
        ("It could be correct, but it is WRONG", False),
        ("INCORRECT", None),
        ("", None),
    ],
)
def test_a_verdict_is_the_last_of_the_two_words(reply, right):
    assert right is verdict(reply)


class TestTokenF1:
    @pytest.mark.parametrize(
        ("answer", "expected", "f1"),
        [
            ("The Lisbon!", "lisbon", 1.0),
            ("to Lisbon in May", "May", 0.4),  # precision 1/4, recall 1
            ("a a cat", "a cat cat", 2 / 3),  # articles go; precision 1, recall 1/2
            ("Porto", "Lisbon", 0.0),
            ("", "", 1.0),
            ("the", "Lisbon", 0.0),
        ],
    )
    def test_by_hand(self, answer, expected, f1):
        assert f1 == pytest.approx(token_f1(answer, expected))

    @given(st.text("ab c.", max_size=9), st.text("ab c.", max_size=9))
    def test_it_is_a_share_and_symmetric(self, one, other):
        assert token_f1(one, other) == token_f1(other, one)
        assert 0 <= token_f1(one, other) <= 1
        assert 1 == token_f1(one, one)


def test_any_chat_model_can_answer_and_judge():
    chat = ScriptedChat(["Lisbon", "CORRECT"])

    report = judge([CASE], Bm25(), Completing(chat), limit=1, runs=1)

    assert (report.overall.judge, len(chat.options)) == (1, 2)


class TestScriptedChat:
    def test_it_says_its_replies_in_order_and_keeps_the_calls(self):
        chat = ScriptedChat(["one", "two"])
        messages = [{"role": "user", "content": "?"}]

        assert ["one", "two"] == [chat.complete(messages), chat.complete(messages)]
        assert [messages, messages] == chat.calls

    def test_replies_that_run_out_are_an_error(self):
        with pytest.raises(ModelError, match="0 replies, and this is call 1"):
            ScriptedChat([]).complete([])
