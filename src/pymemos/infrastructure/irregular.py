"""The irregular forms of English, which no stemmer brings together: "went" is found by "go", "children" by "child"."""

from __future__ import annotations

# A base form, a colon, and what stands for it. Forms that are words of their own ("saw", "left", "found") count as
# forms: texts and questions are read alike, so nothing is lost but the difference.
_FORMS = """
arise:arose arisen|awake:awoke awoken|bear:bore borne|beat:beaten|become:became|begin:began begun|bend:bent
bet:betted|bind:bound|bite:bit bitten|bleed:bled|blow:blew blown|break:broke broken|breed:bred|bring:brought
build:built|burn:burnt|buy:bought|catch:caught|choose:chose chosen|cling:clung|come:came|creep:crept|deal:dealt
dig:dug|dive:dove|draw:drew drawn|dream:dreamt|drink:drank drunk|drive:drove driven|eat:ate eaten|fall:fell fallen
feed:fed|feel:felt|fight:fought|find:found|flee:fled|fling:flung|fly:flew flown|forbid:forbade forbidden
forget:forgot forgotten|forgive:forgave forgiven|freeze:froze frozen|get:got gotten|give:gave given|go:went gone
grind:ground|grow:grew grown|hang:hung|hear:heard|hide:hid hidden|hold:held|keep:kept|kneel:knelt|know:knew known
lay:laid|lead:led|lean:leant|leap:leapt|learn:learnt|leave:left|lend:lent|light:lit|lose:lost|make:made|mean:meant
meet:met|pay:paid|prove:proven|ride:rode ridden|ring:rang rung|rise:rose risen|run:ran|say:said|see:saw seen
seek:sought|sell:sold|send:sent|sew:sewn|shake:shook shaken|shine:shone|shoot:shot|show:shown|shrink:shrank shrunk
sing:sang sung|sink:sank sunk|sit:sat|sleep:slept|slide:slid|smell:smelt|speak:spoke spoken|speed:sped|spell:spelt
spend:spent|spill:spilt|spin:spun|spring:sprang sprung|stand:stood|steal:stole stolen|stick:stuck|sting:stung
stink:stank stunk|stride:strode|strike:struck|strive:strove|swear:swore sworn|sweep:swept|swim:swam swum|swing:swung
take:took taken|teach:taught|tear:tore torn|tell:told|think:thought|throw:threw thrown|understand:understood
wake:woke woken|wear:wore worn|weave:wove woven|weep:wept|win:won|wind:wound|withdraw:withdrew withdrawn
wring:wrung|write:wrote written
child:children|person:people|man:men|woman:women|foot:feet|tooth:teeth|goose:geese|mouse:mice|wife:wives|life:lives
knife:knives|leaf:leaves|half:halves|shelf:shelves|wolf:wolves|loaf:loaves|thief:thieves|good:better best
bad:worse worst|far:farther further
"""


def english_forms() -> dict[str, str]:
    """Each irregular form with the base form that stands for it."""
    pairs = (entry.partition(":") for entry in _FORMS.replace("\n", "|").split("|") if entry)
    return {form: base for base, _, forms in pairs for form in forms.split()}
