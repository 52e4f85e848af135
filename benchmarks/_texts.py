"""Made-up messages: a seeded vocabulary with the frequencies of a real one, some names and dates, and questions."""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate

FUNCTION_WORDS = (
    "the i to and a you of it in that is my was for on with we me have but so at be this they not are do he she just "
    "as had all from about when will would there if or what our can were up out been how her his"
).split()
NAMES = "Ann Ben Carla Dmitri Elena Farid Grace Hugo Ines Jonas Kira Liam Mona Nadia Oscar Priya Rosa Sam Tara".split()
MONTHS = "January February March April May June July August September October November December".split()
WORDS = 20_000
LENGTH = (12, 38)  # words of a message, 25 on average
_ONSETS = "b br c ch d dr f fl g gr h k l m n p pl pr qu r s sh st t th tr v w z".split()
_VOWELS = "a e i o u ai ea ee ou".split()
_CODAS = "n r l s t m ck nd st rt p".split()
_ENDINGS = ("", "", "", "", "s", "ed", "ing", "er")


class Texts:
    """Messages and questions, the same for the same seed."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._words = self._vocabulary()
        # Zipf and Mandelbrot: the commonest content word stands in about a tenth of the messages.
        self._weights = list(accumulate(1 / (rank + 20) for rank in range(1, WORDS + 1)))
        self._common = list(accumulate(1 / rank for rank in range(1, len(FUNCTION_WORDS) + 1)))

    def message(self) -> str:
        """One utterance."""
        draw = self._random
        length = draw.randint(*LENGTH)
        plain = draw.choices(FUNCTION_WORDS, cum_weights=self._common, k=length)
        content = draw.choices(self._words, cum_weights=self._weights, k=length)
        words = [draw.choice(pair) for pair in zip(plain, content, strict=True)]
        if draw.random() < 0.3:
            words[draw.randrange(length)] = draw.choice(NAMES)
        if draw.random() < 0.15:
            words += ["on", str(draw.randint(1, 28)), draw.choice(MONTHS), str(draw.randint(2018, 2026))]
        return " ".join(words).capitalize() + "."

    def messages(self, count: int) -> list[str]:
        """Several utterances."""
        return [self.message() for _ in range(count)]

    def question(self, message: str) -> tuple[str, list[str]]:
        """A question that the message answers, and the words of it that count."""
        said = [word for word in dict.fromkeys(message.lower().strip(".").split()) if self._counts(word)]
        words = self._random.sample(said, min(4, len(said)))
        return f"What did you tell me about the {' and the '.join(words)}?", words

    def draw(self, totals: list[int]) -> int:
        """A place in proportion to its share; ``totals`` are the running sums of the shares."""
        return bisect(totals, self._random.randrange(totals[-1]))

    def pick(self, messages: list[str]) -> str:
        """Any of the messages."""
        return self._random.choice(messages)

    def _vocabulary(self) -> list[str]:
        words: dict[str, None] = {}
        while len(words) < WORDS:
            syllables = self._random.choice((1, 2, 2, 3))
            word = "".join(self._random.choice(_ONSETS) + self._random.choice(_VOWELS) for _ in range(syllables))
            words[word + self._random.choice(_CODAS) + self._random.choice(_ENDINGS)] = None
        return list(words)

    def _counts(self, word: str) -> bool:
        return len(word) > 3 and word.isalpha() and word not in FUNCTION_WORDS and word.capitalize() not in MONTHS


def conversation(texts: list[str]) -> list[dict[str, str]]:
    """The texts as messages, the user and the assistant in turns."""
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def zipf_sizes(users: int, total: int) -> list[int]:
    """How many of ``total`` memories each user holds: the second half as many as the first, and so on."""
    whole = sum(1 / rank for rank in range(1, users + 1))
    sizes = [max(1, round(total / rank / whole)) for rank in range(1, users + 1)]
    sizes[0] += total - sum(sizes)
    return sizes
