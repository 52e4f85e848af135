# ruff: noqa: E501 (texts of the probe, one item a line)
"""A labelled probe of steering: two traits, pairs to make their vectors from, and other items to measure them on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.report import Row
from pymemos.cube.steering import SteeringItem

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine

METRICS = ("steer_formal", "steer_cheerful", "steer_both_formal", "steer_both_cheerful", "steer_reversed")

# fmt: off
FORMAL_PAIRS = [
    ("I would be grateful if you could send me the documents at your earliest convenience.", "Just shoot me the files whenever, ok?"),
    ("We regret to inform you that the meeting has been postponed.", "Sorry guys, meeting's off for now."),
    ("It is with great pleasure that I accept your kind invitation.", "Sure thing, count me in!"),
    ("Please do not hesitate to contact our office should you have any questions.", "Got questions? Just hit us up."),
    ("The results of the examination will be announced in due course.", "You'll get your grades sometime soon, I guess."),
    ("I must respectfully disagree with the assessment that was presented.", "Nah, I don't buy that at all."),
    ("Guests are kindly requested to refrain from smoking on the premises.", "Hey, no smoking in here, alright?"),
    ("Allow me to express my sincere gratitude for your assistance.", "Thanks a ton, you totally saved me!"),
    ("The committee has resolved to defer its decision until further notice.", "They're gonna sit on it for a while."),
    ("I apologise for any inconvenience that this delay may have caused.", "Oops, my bad, running late!"),
    ("Your application has been received and is currently under review.", "Yep, got your stuff, we're checking it out."),
    ("It would be advisable to consult a physician regarding these symptoms.", "You should prob see a doc about that."),
]
FORMAL_ITEMS = [
    ("Can you come to dinner on Friday?", "I should be delighted to attend the dinner on Friday evening.", "Yeah, dinner Friday sounds awesome!"),
    ("Did my parcel arrive?", "Your parcel was received this morning and has been forwarded to you.", "Yep, it showed up this morning, sent it your way."),
    ("How was the lecture?", "The lecture was most instructive and admirably presented.", "It was pretty cool, kinda long though."),
    ("Why is the shop closed?", "The establishment is closed owing to an official holiday.", "They're shut 'cause it's a holiday."),
    ("Can I borrow your car?", "I am afraid that I am unable to lend you the vehicle.", "Nope, sorry, can't give you my car."),
    ("What do you think of the plan?", "In my considered opinion, the proposal merits further examination.", "Honestly, I think it's kinda neat."),
    ("When does the train leave?", "The train is scheduled to depart at nine o'clock.", "It takes off around nine or so."),
    ("Is the manager here?", "The manager is presently engaged and will attend to you shortly.", "He's busy right now, hang on a sec."),
    ("What should I wear?", "Formal attire would be appropriate for the occasion.", "Just throw on something nice."),
    ("Did you like the film?", "I found the film to be a remarkable achievement.", "Loved it, super fun!"),
    ("Could you help me move house?", "I would be pleased to offer my assistance with the removal.", "Sure, I'll help you haul stuff."),
    ("Why were you absent?", "I was regrettably indisposed on the day in question.", "I was sick, couldn't make it."),
]
CHEERFUL_PAIRS = [
    ("What a wonderful morning, the sun is out and everything feels possible!", "What a dreadful morning, the rain won't stop and nothing seems worth doing."),
    ("I love my new job, the people are kind and every day is a joy.", "I hate my new job, the people are cold and every day is a burden."),
    ("The concert was brilliant and we laughed all the way home.", "The concert was terrible and we were miserable all the way home."),
    ("Our holiday was a dream, every meal was delicious.", "Our holiday was a nightmare, every meal was awful."),
    ("She is doing so well, I am proud and happy for her.", "She is doing so badly, I am worried and sad for her."),
    ("The garden is blooming and it makes me smile.", "The garden is dying and it makes me want to cry."),
    ("Good news: we won, and everybody is celebrating!", "Bad news: we lost, and everybody is disappointed."),
    ("I feel full of energy and hope today.", "I feel tired and hopeless today."),
    ("The new flat is bright, warm and lovely.", "The new flat is dark, cold and depressing."),
    ("My friends surprised me with a beautiful party.", "My friends forgot me and I spent the day alone."),
    ("The book was a delight from the first page.", "The book was a disappointment from the first page."),
    ("Things are getting better and better, I can't wait for tomorrow.", "Things are getting worse and worse, I dread tomorrow."),
]
CHEERFUL_ITEMS = [
    ("How was your weekend?", "It was fantastic, I enjoyed every minute of it.", "It was horrible, I suffered through every minute of it."),
    ("How is the weather?", "It is gorgeous, a perfect day for a walk.", "It is gloomy, a rotten day to go anywhere."),
    ("What do you think of the food?", "It tastes amazing, I could eat it every day.", "It tastes disgusting, I could not finish it."),
    ("How is your brother?", "He is thriving and happier than ever.", "He is struggling and lonelier than ever."),
    ("How did the exam go?", "It went great, I am so pleased.", "It went badly, I am so upset."),
    ("What is the town like?", "It is a charming place with friendly people.", "It is an ugly place with rude people."),
    ("How is the project going?", "We are making exciting progress.", "We are stuck in endless trouble."),
    ("Did you like the present?", "I adore it, thank you so much!", "I find it useless, to be honest."),
    ("How do you feel about the future?", "I look forward to it with confidence.", "I think about it with fear."),
    ("How was the journey?", "It was smooth and pleasant.", "It was painful and exhausting."),
    ("What about the hotel?", "The rooms were clean and the view was stunning.", "The rooms were filthy and the view was bleak."),
    ("How is work?", "I am grateful for it, the team is wonderful.", "I am sick of it, the team is hostile."),
]
# fmt: on


def items(rows: list[tuple[str, str, str]]) -> list[SteeringItem]:
    """Rows as labelled items."""
    return [SteeringItem(ask=ask, wanted=wanted, other=other) for ask, wanted, other in rows]


def steering(engine: LocalEngine) -> Iterator[Row]:
    """What the vectors of two traits do alone, together, and turned round; a minute of a core with SmolLM2."""
    from pymemos.models.local.steering import load, make, measure
    from pymemos.ports import SteeringUse

    formal, cheerful = items(FORMAL_ITEMS), items(CHEERFUL_ITEMS)
    uses = []
    for name, pairs, probe in (("formal", FORMAL_PAIRS, formal), ("cheerful", CHEERFUL_PAIRS, cheerful)):
        made = make(engine, pairs)
        use = SteeringUse(vectors=load(engine, memoryview(made.file), made.layers), scale=made.scale)
        uses.append(use)
        effect = measure(engine, probe, [use])
        where = f"layer {made.layers[0]}, scale {made.scale:g}"
        yield _row(f"steer_{name}", effect.change, effect.low, effect.high, where)
    for name, probe in (("formal", formal), ("cheerful", cheerful)):
        effect = measure(engine, probe, uses)
        yield _row(f"steer_both_{name}", effect.change, effect.low, effect.high, "both vectors")
    turned = measure(engine, formal, [SteeringUse(vectors=uses[0].vectors, scale=-uses[0].scale)])
    yield Row.plain(
        "steer_reversed", turned.change, f"nats a token, [{turned.low:.3f}, {turned.high:.3f}]: less formal"
    )


def _row(metric: str, change: float, low: float, high: float, where: str) -> Row:
    """The low end of the interval, which has to be above 0."""
    return Row.at_least(metric, low, f"nats a token at least; {change:.3f}, up to {high:.3f}; {where}", 0.0)
