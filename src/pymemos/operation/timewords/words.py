"""Words are what a language says time with: for every role in the grammar the words, and what each stands for."""

from __future__ import annotations

# A line is ``role: word:number, word:number``; a word of several words is found before any of them, and a role may have
# several lines. Numbers are those of months, weekdays (Monday is 0), seasons (spring is 0), holidays (the place in
# ``spans.HOLIDAYS``), units and parts (the place in the enumeration), days from today, or plain numbers.
ENGLISH = """
month: january:1, february:2, july:7, september:9, october:10, november:11, december:12
named month: april:4, june:6
doubtful month: may:5, march:3, august:8, jan:1, feb:2, mar:3, apr:4, jun:6, jul:7, aug:8, sep:9, sept:9, oct:10, nov:11
doubtful month: dec:12
weekday: monday:0, tuesday:1, wednesday:2, thursday:3, friday:4, saturday:5, sunday:6, tues:1, thurs:3
doubtful weekday: mon:0, tue:1, wed:2, thu:3, fri:4, sat:5, sun:6
weekdays: mondays:0, tuesdays:1, wednesdays:2, thursdays:3, fridays:4, saturdays:5, sundays:6
season: spring:0, springtime:0, summer:1, summertime:1, autumn:2, fall:2, winter:3, wintertime:3
seasons: springs:0, summers:1, autumns:2, falls:2, winters:3
holiday: christmas:0, xmas:0, christmas day:0, christmas eve:1, boxing day:2, new year's eve:3, new years eve:3
holiday: new year's day:4, new years day:4, new year's:4, new year:4, halloween:5, valentine's day:6, valentines day:6
holiday: valentine's:6, fourth of july:7, 4th of july:7, july 4th:7, independence day:7, thanksgiving:8
holiday: thanksgiving day:8, easter:9, easter sunday:9, good friday:10, easter monday:11, mother's day:12
holiday: mothers day:12, father's day:13, fathers day:13, labor day:14, memorial day:15, black friday:16
holiday: cyber monday:17, st patrick's day:18, st patricks day:18, saint patrick's day:18, april fool's day:19
holiday: april fools day:19, juneteenth:20, veterans day:21, mlk day:22, martin luther king day:22, pentecost:23
holiday: epiphany:24, all saints day:25, shrove tuesday:27, presidents day:28, earth day:29, cinco de mayo:30
holiday: ash wednesday:31, christmas time:0
holidays: christmases:0, halloweens:5, thanksgivings:8, easters:9
day: today:0, tonight:0, this morning:0, this afternoon:0, this evening:0, earlier today:0, later today:0, yesterday:-1
day: last night:-1, last evening:-1, tomorrow:1, day before yesterday:-2
day: day after tomorrow:2
daypart: morning, afternoon, evening, night
unit: minute:0, minutes:0, hour:1, hours:1, day:2, days:2, weekend:3, weekends:3, week:4, weeks:4, month:5, months:5
unit: quarter:6, quarters:6, year:8, years:8, decade:9, decades:9, nights:2
other: the new year, with you, run-up to, run up to
number: one:1, two:2, three:3, four:4, five:5, six:6, seven:7, eight:8, nine:9, ten:10, eleven:11, twelve:12
number: thirteen:13, fourteen:14, fifteen:15, sixteen:16, seventeen:17, eighteen:18, nineteen:19, twenty:20
number: thirty:30, forty:40, fifty:50
ordinal: first:1, second:2, third:3, fourth:4, fifth:5, sixth:6, seventh:7, eighth:8, ninth:9, tenth:10
ordinal: eleventh:11, twelfth:12, thirteenth:13, fourteenth:14, fifteenth:15, sixteenth:16, seventeenth:17
ordinal: eighteenth:18, nineteenth:19, twentieth:20, thirtieth:30, thirty first:31, thirty-first:31
ordinal: twenty first:21, twenty second:22, twenty third:23, twenty fourth:24, twenty fifth:25, twenty sixth:26
ordinal: twenty seventh:27, twenty eighth:28, twenty ninth:29, twenty-first:21, twenty-second:22, twenty-third:23
ordinal: twenty-fourth:24, twenty-fifth:25, twenty-sixth:26, twenty-seventh:27, twenty-eighth:28, twenty-ninth:29
decade: forties:1940, fifties:1950, sixties:1960, seventies:1970, eighties:1980, nineties:1990
vague: couple:1, couple of:1, a couple:1, a couple of:1, few:2, a few:2, several:3
half: half a, half
and a half: and a half
a: a, an
the: the
last: last
past: past
previous: previous
next: next
coming: coming
this: this
ago: ago
back: back
hence: from now, from today
before: before, prior to
after: after
near: shortly, right, just, immediately, soon
since: since, ever since
until: until, till, up to, up until
by: by
from: from
to: to, through, thru
between: between
and: and, or
of: of
in: in, during, within, throughout
on: on, at, for
over: over
around: around, circa
about: about, roughly, approximately, nearly, almost, more than, less than, at least, well over, just over
part: early:0, early in:0, earlier:0, earlier in:0, mid:1, late:2, late in:2, later:2, later in:2, beginning of:3
part: start of:3, middle of:1, end of:4
recent: recently:30, lately:30, of late:30, these days:30, the other day:10
recently: recent
same time: this time, around this time, about this time
every: every, each, any, most, all, per, some
our: our
somebody: she, he, they
whose: my, your, his, her, its, their
session: session, sessions, conversation, conversations, chat, chats, discussion, discussions, talk, talks
talked: time we talked, time we spoke, time we chatted, time i talked to you, time i spoke to you, time we had a chat
talked: time you and i talked, time i talked with you, time i spoke with you, time we had a conversation
last talked: when we last talked, when we last spoke, when we last chatted, when i last talked to you
with: with
ahead: will, won't, shall, gonna, going to, upcoming, due, scheduled, planned, planning, looking forward, can't wait
present: is, are, am, i'm, we're, they're, you're, see you, meet me, let's, starts, begins, opens
behind: did, was, were, had, didn't, wasn't, weren't, hadn't, been, went, told, met, saw, came, got, made, took, felt
behind: gave, found, left, forgot, bought, thought, heard, knew, began, ran, ate, drank, wrote, drove, flew, slept
behind: spent, said, sent, lost, won, broke, chose, spoke, taught, caught, brought, became, grew, sang, wore, held
behind: kept, paid, cut, put, read, sold, stood, swam, threw, understood, woke
"""
