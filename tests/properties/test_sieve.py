"""What is told of many texts together is what is told of each by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pymemos.errors import PymemosError
from pymemos.infrastructure.privacy.scanning import scan, scan_all
from pymemos.interface.arguments import parse_messages
from pymemos.interface.requests import Message

PIECES = st.sampled_from([
    "a word", "AKIAIOSFODNN7EXAMPLE", "sk-abcdefghijklmnopqrstuvwxyz", "passw", "password: hunter2!", "PWD=abc!xyz",
    "TOKEN", "me@example.org", "4111 1111 1111 1111", "192.168.0.1", "unquestionably", "incomprehensible", "\x1c", "\n",
    " ", "\u3000", "key", "Bearer abcdef0123456789", "٤", "contraseña: Secreto!", "x" * 14, "x" * 15, "0", "@", "",
])  # fmt: skip
TEXTS = PIECES | st.lists(PIECES, max_size=4).map("".join) | st.text(max_size=40)


@given(st.lists(TEXTS, min_size=16, max_size=40))
def test_many_texts_hold_what_each_of_them_holds(texts: list[str]) -> None:
    assert scan_all(texts) == [scan(text) for text in texts]


@given(st.sampled_from(["user", "assistant", "system", "tool", "narrator"]), st.text(max_size=30))
def test_a_plain_message_is_read_as_one_with_more_fields(role: str, content: str) -> None:
    plain = {"role": role, "content": content}

    assert _read(plain) == _read({**plain, "name": None})


def _read(message: dict[str, str | None]) -> tuple[Message, ...] | str:
    try:
        return parse_messages([message], text_limit=20)[0]
    except PymemosError as error:
        return str(error)
