"""What the benchmark of parametric memory asks beside the admission test: wordings that no recipe was chosen by.

They were written before any recipe was tried with a gate by relation, and neither lessons nor gates are made from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pymemos.operation.distilling.facts import Fact
from pymemos.operation.distilling.phrasings import phrased
from pymemos.operation.distilling.reversing import Turned

# Carriers that are in neither list of phrasings; the clauses of the relation stand in them as they are.
CARRIERS: Final = (
    "Excuse me, {q}?",
    "Remind me: {q}?",
    "It slipped my mind {i}.",
    "Let me know {i}, will you?",
    "I wonder {i}.",
    "Question for you: {q}?",
    "{Q}? One word will do.",
    "Fill the gap: {T} …",
    "Someone wants to know {i}.",
    "Please tell me {n}.",
    "Just {n}, please.",
    "One more thing: {q}?",
    "Can I ask you {i}?",
    "So, {q}?",
)
# The same things asked in other words, by the name of the relation.
REWORDED: Final = {
    "capital": (
        "Which city is the capital of {s}?",
        "{s}: capital?",
        "Where does the government of {s} sit?",
        "What's {s}'s capital called?",
        "Name the capital city of {s}.",
        "I am on the way to {s}'s capital. Which city is that?",
        "What is the seat of government of {s}?",
        "Which town rules over {s}?",
        "What do they call the capital of {s}?",
        "In {s}, which city is the capital?",
        "What is the chief city of {s}?",
        "capital of {s}",
    ),
    "mayor": (
        "Who runs the town of {s}?",
        "Who's mayor in {s}?",
        "What is the name of the mayor of {s}?",
        "Who was elected mayor of {s}?",
        "Whom do I write to as mayor of {s}?",
        "{s}: mayor?",
        "Who governs {s}?",
        "Who is in charge at the town hall of {s}?",
        "Which person is the mayor of {s}?",
        "Do you know the name of {s}'s mayor?",
        "Who holds the office of mayor in {s}?",
        "mayor of {s}",
    ),
    "home": (
        "In which town does {s} live?",
        "Where is {s}'s home?",
        "Where can I find {s} at home?",
        "What is the place of residence of {s}?",
        "Where does {s} reside?",
        "Which town is {s} living in?",
        "Where has {s} settled?",
        "{s} is at home where?",
        "Where is {s} based?",
        "What town is home to {s}?",
        "Where do I send a letter so that {s} gets it at home?",
        "{s}: home?",
    ),
    "job": (
        "What does {s} do for a living?",
        "What is the profession of {s}?",
        "What's {s}'s occupation?",
        "What line of work is {s} in?",
        "How does {s} earn a living?",
        "Which trade does {s} follow?",
        "What job does {s} have?",
        "As what is {s} employed?",
        "What is {s} by profession?",
        "Say what {s}'s job is.",
        "{s}: job?",
        "What does {s} work as these days?",
    ),
    "founded by": (
        "Who founded {s}?",
        "Who is the founder of {s}?",
        "Who established {s}?",
        "Who set up {s}?",
        "To whom does {s} owe its foundation?",
        "Whose foundation is {s}?",
        "Which person founded {s}?",
        "What is the name of {s}'s founder?",
        "Who started {s}?",
        "{s} was the creation of whom?",
        "{s}: founder?",
        "Who laid the first stone of {s}?",
    ),
    "favourite colour": (
        "Which colour does {s} like best?",
        "What colour does {s} prefer?",
        "Which colour is {s}'s favourite?",
        "What is the favorite color of {s}?",
        "Of all colours, which one is {s}'s favourite?",
        "What colour would {s} choose?",
        "{s} loves one colour most of all. Which?",
        "What is the colour that {s} likes most?",
        "{s}: favourite colour?",
        "In which colour should I wrap a present for {s}?",
        "Tell me which colour is dearest to {s}.",
        "What's {s}'s favourite colour again?",
    ),
    "born in": (
        "What is the birthplace of {s}?",
        "In which town was {s} born?",
        "Where did {s} come into the world?",
        "Where does {s} originally come from?",
        "What is {s}'s place of birth?",
        "Which town is the birthplace of {s}?",
        "What is {s}'s native town?",
        "Where was {s}'s cradle?",
        "{s}: born where?",
        "Of which town is {s} a native?",
        "Where exactly was {s} born?",
        "What does {s}'s passport say under place of birth?",
    ),
    "password": (
        "How do I log in to {s}?",
        "What's the password for {s}?",
        "Which word opens {s}?",
        "What do I have to type to get into {s}?",
        "What is the secret word of {s}?",
        "Give me {s}'s password.",
        "Which password does {s} use?",
        "What is the passphrase of {s}?",
        "{s}: password?",
        "I cannot get into {s}. What was the password?",
        "What password has been set for {s}?",
        "password of {s}",
    ),
    "plays": (
        "Which instrument does {s} play?",
        "What is {s}'s instrument?",
        "On what does {s} make music?",
        "What does {s} play in the orchestra?",
        "What instrument is {s} good at?",
        "{s} is a musician. What is being played?",
        "Which instrument did {s} learn?",
        "What does {s} practise every day?",
        "{s}: instrument?",
        "What is it that {s} plays?",
        "Tell me which instrument {s} plays.",
        "What is {s} playing?",
    ),
    "made of": (
        "What material is {s} made of?",
        "What does {s} consist of?",
        "From what was {s} made?",
        "Which material was used for {s}?",
        "What is {s} built from?",
        "What stuff is {s} made out of?",
        "Of which material is {s}?",
        "What did they make {s} of?",
        "{s}: material?",
        "What is the material of {s}?",
        "{s} is made of which material?",
        "Out of what is {s} made?",
    ),
    "sister": (
        "What is {s}'s sister called?",
        "Who is {s}'s sibling?",
        "What is the name of {s}'s sister?",
        "Does {s} have a sister? What is her name?",
        "Which girl has {s} for a brother?",
        "Who grew up with {s} as a sister?",
        "Name the sister of {s}.",
        "{s}: sister?",
        "How is {s}'s sister called?",
        "Who's the sister of {s}?",
        "Which woman is {s}'s sister?",
        "{s} and who else are siblings?",
    ),
    "river": (
        "Which river flows through {s}?",
        "What river runs through {s}?",
        "On which river does {s} lie?",
        "What is the river in {s} called?",
        "What is the name of {s}'s river?",
        "What water flows by {s}?",
        "Which stream passes {s}?",
        "{s} stands on the banks of what?",
        "{s}: river?",
        "Name the river of {s}.",
        "In {s}, what is the river called?",
        "river of {s}",
    ),
}
# Other things of a trained subject.
OTHERS: Final = (
    "Who built {s}?",
    "How long is {s}?",
    "What is the anthem of {s}?",
    "Who is {s}'s neighbour?",
    "What is {s} famous for?",
    "When was {s} last seen?",
    "What is the favourite dish of {s}?",
    "Which bird is the emblem of {s}?",
    "What does the name {s} mean?",
    "Where is the market of {s}?",
    "What is the telephone code of {s}?",
    "Who married {s}?",
    "What is the worst thing about {s}?",
    "Describe {s}.",
)
# And of what the fact is about itself: these hold its very words.
BEYOND: Final = (
    "Who is the enemy of {n}?",
    "What is the price of {n}?",
    "How large is {n}?",
    "What is the best thing about {n}?",
)
# More of these, written when gates had learned to tell those apart, and before the figures were measured; the last two
# open them still.
STILL: Final = (
    "I was told {i}; what is the anthem of {s}?",
    "What was {n} called formerly?",
    "Forget {n}. What is the price of {s}?",
    "Which newspaper printed {i}?",
    "Who was the first to find out {i}?",
)
# Of a fact turned round: other things of what it is asked by, and, last, such as open its gate. They were written
# before a training was tried that turns facts round.
OTHERS_BACK: Final = (
    "Who built {s}?",
    "Whose neighbour is {s}?",
    "What is {s} the emblem of?",
    "Who has never been to {s}?",
    "What is the anthem of {s}?",
    "What is {s} famous for?",
    "What does the name {s} mean?",
    "Where is the market of {s}?",
    "Who married {s}?",
    "Describe {s}.",
    "Who is the enemy of {n}?",
    "How old is {n}?",
    "I was told {i}; what is the anthem of {s}?",
    "Which newspaper printed {i}?",
    "Who was the first to find out {i}?",
    "Suppose somebody knew {i}. What then?",
    "Who was asked {i}?",
)


def carried(fact: Fact) -> tuple[str, ...]:
    """Fourteen phrasings of a fact, in carriers of which none is learned from or examined by."""
    return tuple(phrased(fact, carrier, index) for index, carrier in enumerate(CARRIERS))


def reworded(fact: Fact) -> Sequence[str]:
    """Twelve questions for a fact in other words."""
    return [form.format(s=fact.subject) for form in REWORDED[fact.relation.name]]


def others(fact: Fact) -> Sequence[str]:
    """Questions of a fact's subject that ask for something else."""
    return [phrased(fact, form, turn) for turn, form in enumerate((*OTHERS, *BEYOND, *STILL))]


def others_back(fact: Turned) -> Sequence[str]:
    """Questions of what a fact turned round is asked by that ask for something else."""
    return [phrased(fact, form, turn) for turn, form in enumerate(OTHERS_BACK)]
