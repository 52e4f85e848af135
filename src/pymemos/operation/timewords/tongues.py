"""Tongues are the languages that time expressions are read in; all but English by fewer words, without sessions."""

from __future__ import annotations

from pymemos.operation.timewords.words import ENGLISH

ELIDING = frozenset(("fr", "it"))
ORDINAL_DOT = frozenset(("de",))
MONTH_FIRST = frozenset(("en",))  # in dates of digits

GERMAN = """
month: januar:1, jänner:1, februar:2, märz:3, april:4, mai:5, juni:6, juli:7, august:8, september:9, oktober:10
month: november:11, dezember:12
weekday: montag:0, dienstag:1, mittwoch:2, donnerstag:3, freitag:4, samstag:5, sonnabend:5, sonntag:6
season: frühling:0, frühjahr:0, sommer:1, herbst:2, winter:3
holiday: weihnachten:0, heiligabend:1, heiligen abend:1, silvester:3, neujahr:4, halloween:5, valentinstag:6, ostern:9
holiday: karfreitag:10, ostermontag:11, muttertag:12, pfingsten:23, nikolaus:26
day: heute:0, heute morgen:0, heute früh:0, heute abend:0, gestern:-1, vorgestern:-2, letzte nacht:-1, morgen:1
day: übermorgen:2, morgen früh:1
other: am morgen, guten morgen
daypart: abend, nachmittag, vormittag, morgens, nacht, mittag, früh
unit: stunde:1, stunden:1, tag:2, tage:2, tagen:2, wochenende:3, wochenenden:3, woche:4, wochen:4, monat:5, monate:5
unit: monaten:5, monats:5, quartal:6, jahr:8, jahre:8, jahren:8, jahres:8, jahrzehnt:9
number: zwei:2, drei:3, vier:4, fünf:5, sechs:6, sieben:7, acht:8, neun:9, zehn:10, elf:11, zwölf:12
ordinal: ersten:1, erste:1, erster:1, zweiten:2, zweite:2, dritten:3, dritte:3, vierten:4, vierte:4
vague: ein paar:2, paar:2, einigen:2, einige:2, wenigen:2, mehreren:3
half: einem halben
a: ein, eine, einem, einer
the: der, die, das, den, dem, des
last: letzte, letzten, letztes, letzter, letztem, vorige, vorigen, voriges, voriger, vergangene, vergangenen
last: vergangenes
next: nächste, nächsten, nächstes, nächster, kommende, kommenden, kommendes
this: diese, diesen, dieses, dieser, diesem
ago of: vor
after: nach
since: seit, seitdem
until: bis, bis zum
from: von, vom
between: zwischen
and: und
in: in, im, während
on: am, an, zu, zum
over: über, übers
around: um, rund um
about: etwa, ungefähr, fast
part: anfang:3, mitte:1, ende:4, anfang des:3, ende des:4, mitte des:1
recent: neulich:30, kürzlich:30, vor kurzem:30, in letzter zeit:30
every: jede, jeden, jedes, jeder
ahead: wird, werden, werde, wirst
behind: war, hat, haben, hatte, habe, wurde, waren, hatten, hast
"""

FRENCH = """
month: janvier:1, février:2, mars:3, avril:4, mai:5, juin:6, juillet:7, août:8, septembre:9, octobre:10, novembre:11
month: décembre:12
weekday: lundi:0, mardi:1, mercredi:2, jeudi:3, vendredi:4, samedi:5, dimanche:6
season: printemps:0, été:1, automne:2, hiver:3
holiday: noël:0, réveillon:3, saint-sylvestre:3, nouvel an:4, jour de l'an:4, halloween:5, saint-valentin:6, pâques:9
holiday: lundi de pâques:11, pentecôte:23, toussaint:25
day: aujourd'hui:0, ce matin:0, ce soir:0, cette nuit:0, cet après-midi:0, hier:-1, hier soir:-1, hier matin:-1
day: avant-hier:-2, demain:1, après-demain:2
daypart: matin, soir, après-midi
unit: heure:1, heures:1, jour:2, jours:2, week-end:3, weekend:3, semaine:4, semaines:4, mois:5, trimestre:6, an:8
unit: ans:8, année:8, années:8, décennie:9
number: deux:2, trois:3, quatre:4, cinq:5, six:6, sept:7, huit:8, neuf:9, dix:10, onze:11, douze:12
ordinal: premier:1, première:1, deuxième:2, troisième:3, quatrième:4
vague: quelques:2, plusieurs:3
a: un, une
the: le, la, les, l'
passed: dernier, dernière, passé, passée, derniers, dernières
coming: prochain, prochaine
this: ce, cet, cette
ago of: il y a
before: avant
after: après
since: depuis
until: jusqu'en, jusqu'à, jusqu'au
from: de, du, d'
to: à, au
between: entre
and: et
of: de la
in: en, dans, pendant, durant
on: pour
around: autour de, vers
about: environ, presque
part: début:3, au début de:3, au début du:3, début de:3, mi-:1, milieu de:1, fin:4, à la fin de:4, à la fin du:4
part: fin de:4
recent: récemment:30, dernièrement:30, ces derniers temps:30, l'autre jour:10
every: chaque, tous les, toutes les
ahead: va, vais, vont, sera, fera, feras
behind: ai, avait, était, as, avons, ont
"""

SPANISH = """
month: enero:1, febrero:2, marzo:3, abril:4, mayo:5, junio:6, julio:7, agosto:8, septiembre:9, setiembre:9, octubre:10
month: noviembre:11, diciembre:12
weekday: lunes:0, martes:1, miércoles:2, jueves:3, viernes:4, sábado:5, domingo:6
season: primavera:0, verano:1, otoño:2, invierno:3
holiday: navidad:0, nochebuena:1, nochevieja:3, año nuevo:4, halloween:5, san valentín:6, pascua:9, viernes santo:10
holiday: día de reyes:24
day: hoy:0, esta mañana:0, esta tarde:0, esta noche:0, ayer:-1, anoche:-1, anteayer:-2, antes de ayer:-2, mañana:1
day: pasado mañana:2
daypart: por la mañana, de la mañana, la mañana, por la tarde, por la noche
unit: hora:1, horas:1, día:2, días:2, fin de semana:3, fines de semana:3, semana:4, semanas:4, mes:5, meses:5
unit: trimestre:6, año:8, años:8, década:9
number: dos:2, tres:3, cuatro:4, cinco:5, seis:6, siete:7, ocho:8, nueve:9, diez:10, once:11, doce:12
ordinal: primero:1, primer:1, primera:1, segunda:2, segundo:2, tercera:3, tercer:3, cuarta:4
vague: unos:2, unas:2, un par de:1, algunos:2, algunas:2, varios:3, varias:3
a: un, una
the: el, la, los, las
last: último, última, últimos, últimas
passed: pasado, pasada, pasados, pasadas
coming: próximo, próxima, que viene
this: este, esta
ago of: hace
before: antes de, antes del
after: después de, después del, tras
since: desde, desde el
until: hasta, hasta el
between: entre
and: y, e
of: de, del
in: en, durante
on: para, por
to: a, al
around: alrededor de, hacia
about: casi, aproximadamente
part: a principios de:3, principios de:3, a comienzos de:3, a mediados de:1, mediados de:1, a finales de:4, finales de:4
recent: recientemente:30, últimamente:30, hace poco:30, el otro día:10
every: cada, todos los, todas las
ahead: va, vas, voy, van, hará, será
behind: fue, era, hizo, estaba, ha, había, hice, hiciste
"""

ITALIAN = """
month: gennaio:1, febbraio:2, marzo:3, aprile:4, maggio:5, giugno:6, luglio:7, agosto:8, settembre:9, ottobre:10
month: novembre:11, dicembre:12
weekday: lunedì:0, martedì:1, mercoledì:2, giovedì:3, venerdì:4, sabato:5, domenica:6
season: primavera:0, estate:1, autunno:2, inverno:3
holiday: natale:0, vigilia di natale:1, san silvestro:3, capodanno:4, halloween:5, san valentino:6, pasqua:9
holiday: pasquetta:11, ognissanti:25, epifania:24
day: oggi:0, stamattina:0, stasera:0, stanotte:0, ieri:-1, ieri sera:-1, l'altro ieri:-2, avantieri:-2, domani:1
day: dopodomani:2
daypart: mattina, sera, pomeriggio
unit: ora:1, ore:1, giorno:2, giorni:2, fine settimana:3, weekend:3, settimana:4, settimane:4, mese:5, mesi:5
unit: trimestre:6, anno:8, anni:8, decennio:9
number: due:2, tre:3, quattro:4, cinque:5, sei:6, sette:7, otto:8, nove:9, dieci:10, undici:11, dodici:12
ordinal: primo:1, prima:1, seconda:2, secondo:2, terza:3, terzo:3, quarta:4
vague: un paio di:1, qualche:2, alcuni:2, alcune:2, diversi:3
a: un, una, un'
the: il, lo, la, l', i, gli, le
last: ultimo, ultima, ultimi, ultime
passed: scorso, scorsa, passato, passata, scorsi, scorse
coming: prossimo, prossima
this: questo, questa, quest'
ago: fa
before: prima di, prima del, prima della
after: dopo
since: dal, da quando, dall'
until: fino a, fino al
from: da
to: a, al
between: tra, fra
and: e, ed
of: di, del, dello, della, dell'
in: in, nel, nello, nella, nell', durante
on: per
around: intorno a, verso
about: circa, quasi
part: inizio:3, all'inizio di:3, inizio di:3, metà:1, a metà:1, fine:4, alla fine di:4, fine di:4
recent: recentemente:30, ultimamente:30, di recente:30, l'altro giorno:10
every: ogni, tutti i, tutte le
ahead: sarà, farà, andrà
behind: ha, ho, era, fatto, aveva, hai, stato
"""

PORTUGUESE = """
month: janeiro:1, fevereiro:2, março:3, abril:4, maio:5, junho:6, julho:7, agosto:8, setembro:9, outubro:10
month: novembro:11, dezembro:12
weekday: segunda-feira:0, terça-feira:1, quarta-feira:2, quinta-feira:3, sexta-feira:4, sexta:4, sábado:5, domingo:6
season: primavera:0, verão:1, outono:2, inverno:3
holiday: natal:0, véspera de natal:1, véspera de ano novo:3, réveillon:3, ano novo:4, halloween:5, páscoa:9
holiday: sexta-feira santa:10
day: hoje:0, esta manhã:0, esta tarde:0, esta noite:0, ontem:-1, ontem à noite:-1, anteontem:-2, amanhã:1
day: depois de amanhã:2
daypart: de manhã, à tarde, à noite
unit: hora:1, horas:1, dia:2, dias:2, fim de semana:3, fins de semana:3, semana:4, semanas:4, mês:5, meses:5
unit: trimestre:6, ano:8, anos:8, década:9
number: dois:2, duas:2, três:3, quatro:4, cinco:5, seis:6, sete:7, oito:8, nove:9, dez:10, onze:11, doze:12
ordinal: primeiro:1, primeira:1, segunda:2, segundo:2, terceira:3, terceiro:3, quarta:4
vague: alguns:2, algumas:2, um par de:1, vários:3, várias:3
a: um, uma
the: o, a, os, as
last: último, última, últimos, últimas
passed: passado, passada, passados, passadas
coming: próximo, próxima, que vem
this: este, esta, neste, nesta, desta, deste
ago of: há
ago: atrás
before: antes de, antes do, antes da
after: depois de, depois do, após
since: desde, desde o, desde a
until: até
between: entre
and: e
of: de, do, da
in: em, no, na, nos, nas, durante
on: para
to: a, ao
around: por volta de
about: cerca de, quase
part: no início de:3, início de:3, no começo de:3, em meados de:1, meados de:1, no final de:4, final de:4, no fim de:4
recent: recentemente:30, ultimamente:30, outro dia:10
every: cada, todo, toda, todos os, todas as
ahead: vai, vou, vão, será, fará
behind: foi, era, fez, estava, tinha, fiz
"""

DUTCH = """
month: januari:1, februari:2, maart:3, april:4, mei:5, juni:6, juli:7, augustus:8, september:9, oktober:10, november:11
month: december:12
weekday: maandag:0, dinsdag:1, woensdag:2, donderdag:3, vrijdag:4, zaterdag:5, zondag:6
season: lente:0, voorjaar:0, zomer:1, herfst:2, najaar:2, winter:3
holiday: kerst:0, kerstmis:0, kerstavond:1, oudejaarsavond:3, oud en nieuw:3, nieuwjaar:4, halloween:5, valentijnsdag:6
holiday: pasen:9, goede vrijdag:10, moederdag:12, pinksteren:23, sinterklaas:26
day: vandaag:0, vanmorgen:0, vanochtend:0, vanmiddag:0, vanavond:0, gisteren:-1, gisteravond:-1, vannacht:-1
day: eergisteren:-2, morgen:1, overmorgen:2
daypart: avond, middag, ochtend, nacht
unit: uur:1, dag:2, dagen:2, weekend:3, weekenden:3, week:4, weken:4, maand:5, maanden:5, kwartaal:6, jaar:8, jaren:8
number: twee:2, drie:3, vier:4, vijf:5, zes:6, zeven:7, acht:8, negen:9, tien:10, elf:11, twaalf:12
ordinal: eerste:1, tweede:2, derde:3, vierde:4
vague: een paar:2, paar:2, enkele:2, verschillende:3
half: een half
a: een
the: de, het
last: vorige, vorig, afgelopen, laatste
next: volgende, volgend, komende, komend
this: deze, dit
ago: geleden
before: voor
after: na
since: sinds, sedert
until: tot, tot en met
from: van, vanaf
between: tussen
and: en
of: van de
in: in, tijdens, gedurende
on: op, met
over: over
around: rond
about: ongeveer, bijna
part: begin:3, begin van:3, half:1, midden:1, eind:4, einde van:4, eind van:4
recent: onlangs:30, recent:30, laatst:30, pas geleden:30, de laatste tijd:30
every: elke, iedere, ieder, elk
ahead: zal, zullen, zul
behind: was, had, heeft, hebben, heb, waren, werd
"""

TONGUES = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "it": ITALIAN,
    "pt": PORTUGUESE,
    "nl": DUTCH,
}
