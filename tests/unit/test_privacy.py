"""Privacy: what is found, what a policy lets be written, who sees it, and what leaves the store (ADR 0030)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from pymemos import MemOS
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.header import Provenance, Transformed
from pymemos.cube.privacy import Handling, Kind
from pymemos.errors import InvalidInput, MalformedRecord, NotAllowed, SensitiveText, UnknownMemory
from pymemos.infrastructure.privacy.numbers import luhn
from pymemos.infrastructure.privacy.scanning import scan
from pymemos.interface.transfer import from_line
from pymemos.interface.veil import without
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import FrozenClock

MAIL = "Write to bo@example.org about the garden."
CARD = "4111 1111 1111 1111"
KEY = "AKIAIOSFODNN7EXAMPLE"
HIDE = {"effect": "redact", "kinds": ["pii:email"], "when": {"NOT": {"role": "physician"}}}


@pytest.fixture
def other() -> Iterator[MemOS]:
    """A second store."""
    with MemOS(store=MemoryStore(), blobs=MemoryBlobs(), clock=FrozenClock(), key=bytes(32), embedder="none") as opened:
        yield opened


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind.value, text[one.start : one.end]) for one in scan(text)]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("email", "ana.b+news@mail.example.co.uk", "mail {}, please"),
        ("email", '"ana b"@example.org', "mail {}, please"),
        ("email", "ana@bücher.example", "mail {}."),
        ("phone", "+44 (0)20 7946 0958", "{} is hers"),
        ("phone", "(555) 234-5678 x12", "call {} now"),
        ("phone", "01 23 45 67 89", "{}"),
        ("phone", "5552345678", "my phone is {}"),
        ("card", CARD, "{}"),
        ("card", "378282246310005", "amex {}!"),
        ("iban", "DE89 3704 0044 0532 0130 00", "to {}."),
        ("iban", "GB82WEST12345698765432", "to {}"),
        ("national_id", "536-90-4399", "{}"),
        ("national_id", "98112334492", "my PESEL is {}"),
        ("national_id", "12345678Z", "DNI {}"),
        ("national_id", "131052-308T", "{}"),
        ("ip", "192.168.0.17", "ssh to {}."),
        ("ip", "2001:db8::ff00:42:8329", "at {}, I think"),
        ("api_key", KEY, "{}"),
        ("api_key", "sk-proj-aB3dE6gH9jK2mN5pQ8rS1tU4", "key: {}"),
        ("token", "ghp_aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA3bC6", "use {}"),
        ("token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW", "{}"),
        ("token", "aB3dE6gH9jK2mN5pQ8rS", "Authorization: Bearer {}"),
        ("password", "bo:s3cret!x", "postgres://{}@db.host:5432/app"),
        ("password", "Hunter2!x", "password: {}"),
        ("private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE1234\n-----END RSA PRIVATE KEY-----", "see {}"),
    ],
)
def test_what_is_personal_or_secret_is_found_whole(kind: str, value: str, text: str) -> None:
    assert [(kind, value)] == found(text.format(value))


@pytest.mark.parametrize(
    "text",
    [
        "Order number 4111111111111111 has shipped.",
        "ISBN 978-3-16-148410-0 and 0-306-40615-2",
        "We met on 2024-05-08 at 12:30:45, or 08.05.2024.",
        "Upgrade to version 1.2.3.4 today.",
        "Commit 3f786850e387550fdab836ed7e6dc881de23001b fixed it.",
        "The request 123e4567-e89b-12d3-a456-426614174000 failed.",
        "Use std::vector and foo::bar, lodash@4.17.21, icon@2x.png and git@github.com:team/app.git",
        "They won 6-4 7-5 6-3; the flat costs 1,234,567.00 euros at 48.8566, 2.3522.",
        "4111 1111 1111 1112 has a wrong check digit, and DE88 3704 0044 0532 0130 00 too",
        "The password must be long, and the token expires tomorrow. password=${DB_PASSWORD}",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert [] == found(text)


def test_a_check_digit_that_is_wrong_is_no_card() -> None:
    assert (True, False) == (luhn("4111111111111111"), luhn("4111111111111112"))


@pytest.mark.parametrize("part", ["1 ", "a@", "key=", "1-", "AB12 ", "a@b.example ", ":", "eyJ", "x://a:"])
@pytest.mark.timeout(20)
def test_no_text_takes_long(part: str) -> None:
    text = part * 20_000

    assert all(one.end <= len(text) for one in scan(text))


def test_detecting_keeps_nothing_of_the_text(mem: MemOS) -> None:
    places = mem.detect(MAIL)

    assert b"bo@example" not in msgspec.json.encode(places)
    assert [Kind.EMAIL] == [one.kind for one in places]


def test_one_may_ask_for_some_kinds(mem: MemOS) -> None:
    assert [] == list(mem.detect(MAIL, kinds=["card"]))
    with pytest.raises(InvalidInput, match="'nose'"):
        mem.detect(MAIL, kinds=["nose"])


# What is written.


def test_what_is_found_is_tagged_unless_a_policy_says_otherwise(mem: MemOS) -> None:
    cube = mem.add(f"{MAIL} {KEY}", sensitivity=["mine"]).cubes[0]

    assert ("mine", "pii:email", "secret:api_key") == cube.header.governance.sensitivity
    assert f"{MAIL} {KEY}" == cube.text


def test_a_rule_can_ask_for_the_tag(mem: MemOS) -> None:
    id = mem.add(MAIL, user_id="ana").ids[0]
    deny = {"effect": "deny", "what": {"sensitivity": "pii:email"}, "when": {"NOT": {"role": "physician"}}}
    mem.set_access_policy("p", deny, user_id="ana")

    assert [] == list(mem.list(user_id="ana"))
    assert id == mem.bind(user_id="ana", role="physician").list()[0].id


def test_what_a_policy_redacts_is_never_written(mem: MemOS) -> None:
    mem.set_privacy_policy({"email": "redact"}, user_id="ana")

    id = mem.add([{"role": "user", "content": MAIL}], user_id="ana").ids[0]
    mem.append(id, "Or to cy@example.org.", user_id="ana")

    assert "Write to [e-mail] about the garden.\nOr to [e-mail]." == mem.get(id).text
    assert b"example.org" not in b"".join(mem.export_lines())
    assert [] == list(mem.search("example.org", user_id="ana"))


def test_what_a_policy_refuses_is_an_error_that_repeats_nothing(mem: MemOS) -> None:
    mem.set_privacy_policy({"api_key": "refuse"}, namespace="*")
    id = mem.add("A note.", user_id="ana").ids[0]

    for write in (
        lambda: mem.add([{"content": "fine"}, {"content": f"use {KEY}"}], user_id="ana"),
        lambda: mem.update(id, f"use {KEY}"),
        lambda: mem.append(id, KEY),
        lambda: mem.add(f"From a note: {KEY}", parents=[id], user_id="ana"),
    ):
        with pytest.raises(SensitiveText, match="api_key at") as raised:
            write()
        assert KEY not in str(raised.value)
    assert 1 == len(mem.list(user_id="ana"))


def test_of_two_policies_the_stricter_holds(mem: MemOS) -> None:
    mem.set_privacy_policy({"email": "redact", "ip": "ignore"}, namespace="*")
    mem.set_privacy_policy({"email": "tag", "ip": "tag", "card": "ignore"}, user_id="ana")

    held = mem.privacy_policy(user_id="ana")

    expected = (Handling.REDACT, Handling.TAG, Handling.IGNORE, Handling.TAG)
    assert expected == (held[Kind.EMAIL], held[Kind.IP], held[Kind.CARD], held[Kind.PHONE])
    assert "[e-mail]" in mem.add(MAIL, user_id="ana").cubes[0].text
    assert () == mem.add(CARD, user_id="ana").cubes[0].header.governance.sensitivity


def test_only_who_manages_a_place_sets_its_policy_and_the_report_has_it(mem: MemOS) -> None:
    ana, bo = mem.bind(user_id="ana"), mem.bind(user_id="bo")

    ana.set_privacy_policy({"email": "refuse"})

    with pytest.raises(NotAllowed):
        bo.set_privacy_policy({"email": "ignore"}, namespace="users/ana")
    with pytest.raises(NotAllowed):
        bo.set_privacy_policy({"email": "ignore"}, namespace="*")
    assert ["privacy policy"] == [change.name for change, _ in ana.access_report().changes]


def test_a_new_text_has_its_own_labels(mem: MemOS) -> None:
    id = mem.add(MAIL, sensitivity=["mine"]).ids[0]

    assert ("mine", "pii:email") == mem.update(id, tags=["x"]).header.governance.sensitivity
    assert ("mine",) == mem.update(id, "Nothing here.").header.governance.sensitivity


def test_what_was_let_in_before_may_be_labelled_under_a_stricter_policy(mem: MemOS) -> None:
    id = mem.add(MAIL).ids[0]
    mem.set_privacy_policy({"email": "refuse"}, namespace="*")

    assert MAIL == mem.update(id, tags=["x"]).text
    with pytest.raises(SensitiveText):
        mem.append(id, "Soon.")


def test_no_access_policy_takes_its_name(mem: MemOS) -> None:
    with pytest.raises(InvalidInput, match="set_privacy_policy"):
        mem.set_access_policy("privacy policy", HIDE)


def test_an_import_takes_in_nothing_that_a_policy_would_not_let_be_written(mem: MemOS, other: MemOS) -> None:
    mem.add(MAIL, user_id="ana")
    mem.add("A note.", user_id="ana")
    other.set_privacy_policy({"email": "redact"}, namespace="*")

    report = other.import_records(from_line(line) for line in mem.export_lines())

    assert (1, 1) == (len(report.written), len(report.refused))


# Who sees it.


@pytest.fixture
def veiled(mem: MemOS) -> MemOS:
    mem.add(MAIL, user_id="ana", metadata={"cc": "bo@example.org"})
    mem.add("The garden is large.", user_id="ana")
    mem.set_access_policy("hide", HIDE, namespace="*")
    return mem


def test_a_caller_under_a_redaction_gets_stand_ins_everywhere(veiled: MemOS) -> None:
    ana = veiled.bind(user_id="ana")
    id = ana.list()[0].id
    ana.append(id, "She is nice.")

    everything = [
        ana.get(id), ana.get(id, version=1), *ana.list(), *ana.history(id), ana.diff(id, 1, 2), ana.provenance(id),
        *ana.export_lines(), ana.search("garden").context(), *(hit.cube for hit in ana.search("garden")),
    ]  # fmt: skip

    assert "example" not in "".join(map(str, everything))
    assert b"example" not in msgspec.json.encode([msgspec.to_builtins(ana.get(id)), list(ana.history(id))])
    assert b"" == ana.get(id).salt  # with it a hash would confirm a guess


def test_the_stored_text_stays_whole_for_the_others(veiled: MemOS) -> None:
    doctor = veiled.bind(user_id="ana", role="physician")

    assert MAIL == doctor.search("bo@example.org")[0].cube.text
    assert MAIL in [cube.text for cube in veiled.list(user_id="ana", namespaces="*")] or MAIL in doctor.list()[0].text


def test_no_search_tells_of_the_words_that_are_hidden(veiled: MemOS) -> None:
    ana = veiled.bind(user_id="ana")

    for query in ("bo@example.org", "example.org", "write to bo", "garden"):
        hits = ana.search(query)
        assert "The garden is large." in [hit.cube.text for hit in hits] or not hits
        assert not any("Write" in hit.cube.text for hit in hits)


def test_no_filter_confirms_a_guess_of_what_is_hidden(veiled: MemOS) -> None:
    ana, doctor = veiled.bind(user_id="ana"), veiled.bind(user_id="ana", role="physician")
    guess = {"metadata.cc": "bo@example.org"}

    assert (0, 1) == (len(ana.list(filters=guess)), len(doctor.list(filters=guess)))
    assert 2 == len(ana.list())


def test_the_scores_of_a_search_are_as_if_it_were_not_there(veiled: MemOS, other: MemOS) -> None:
    other.add("The garden is large.", user_id="ana")

    here, there = (one.bind(user_id="ana").search("garden bo example") for one in (veiled, other))

    assert [hit.score for hit in here] == [hit.score for hit in there]


def test_what_lacks_its_label_is_not_found_either(mem: MemOS) -> None:
    mem.set_privacy_policy({"email": "ignore"}, user_id="ana")
    id = mem.add(MAIL, user_id="ana").ids[0]
    mem.set_access_policy("hide", HIDE, namespace="*")

    ana = mem.bind(user_id="ana")

    assert [] == list(ana.search("bo@example.org"))
    assert "[e-mail]" in ana.get(id).text


def test_whoever_is_kept_from_seeing_cannot_lift_the_rule(mem: MemOS) -> None:
    mem.set_access_policy("hide", HIDE, user_id="ana")

    with pytest.raises(NotAllowed):
        mem.bind(user_id="ana", role="guest").remove_access_policy("hide")


@pytest.mark.parametrize(
    "policy",
    [{"effect": "redact"}, {"effect": "deny", "kinds": ["email"]}, {"effect": "redact", "kinds": ["nose"]},
     {"effect": "redact", "kinds": ["email"], "actions": ["write"]}],
)  # fmt: skip
def test_a_redaction_that_makes_no_sense_is_refused(mem: MemOS, policy: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        mem.set_access_policy("p", policy)


# What leaves, and what is here.


def test_what_is_redacted_is_gone_from_the_bytes_and_an_import_says_so(mem: MemOS) -> None:
    id = mem.add(MAIL, metadata={"deep": [{"cc": "cy@example.org"}]}).ids[0]
    mem.update(id, "Now write to dy@example.org.")
    mem.add("A note.")

    redacted, whole = mem.export_lines(redact=["email"])

    assert b"example.org" not in redacted
    assert b'"redacted":["email"]' in redacted
    assert not any(record.cube.version.encode() in redacted for record in mem.history(id))
    with pytest.raises(MalformedRecord, match="exported without email"):
        from_line(redacted)
    assert "A note." == from_line(whole)[0].cube.text


def test_a_scan_labels_what_lacks_its_labels_once(mem: MemOS) -> None:
    mem.set_privacy_policy({"email": "ignore"}, user_id="ana")
    ids = mem.add([{"content": MAIL}, {"content": "A note."}, {"content": f"{MAIL} Again."}], user_id="ana").ids
    mem.set_privacy_policy({"email": "tag"}, user_id="ana")

    planned = mem.scan_privacy(user_id="ana", dry_run=True)
    done = mem.scan_privacy(user_id="ana")
    again = mem.scan_privacy(user_id="ana")

    assert (ids[0], ids[2]) == planned.tagged == done.tagged
    assert ({"email": 2}, 3, ()) == (done.kinds, done.examined, again.tagged)
    assert ("pii:email",) == mem.get(ids[0]).header.governance.sensitivity
    assert "scan_privacy" == mem.get(ids[0]).header.descriptive.cause


def test_a_scan_is_also_a_job_that_goes_on_page_by_page(mem: MemOS) -> None:
    mem.set_privacy_policy({"email": "ignore"}, user_id="ana")
    mem.add([{"content": f"{MAIL} {n}"} for n in range(250)], user_id="ana")
    mem.set_privacy_policy({"email": "tag"}, user_id="ana")
    mem.enqueue("scan_privacy", user_id="ana")

    mem.tick()

    assert 250 == len(mem.list(user_id="ana", limit=1_000, filters={"sensitivity": "pii:email"}))


def test_what_is_merged_or_fused_is_looked_through_too(mem: MemOS) -> None:
    ids = mem.add([{"content": MAIL}, {"content": "The garden is large."}], user_id="ana").ids
    mem.set_privacy_policy({"card": "refuse", "ip": "redact"}, user_id="ana")

    with pytest.raises(SensitiveText):
        mem.fuse(list(ids), content=f"Paid with {CARD}.", user_id="ana")
    fused = mem.fuse(list(ids), content="It is at 10.0.0.17.", user_id="ana")

    assert "It is at [IP address]." == mem.get(fused.id, user_id="ana").text


def test_the_steps_of_a_memory_are_told_without_what_is_hidden(veiled: MemOS) -> None:
    id = veiled.list(user_id="ana")[0].id
    veiled.annotate(id, note="Told by cy@example.org.", user_id="ana")

    told = veiled.bind(user_id="ana").provenance(id).text()

    assert (True, False) == ("Told by [e-mail]." in told, "example" in told)


def test_reasons_name_nobody_who_is_hidden(mem: MemOS) -> None:
    mem.add([{"role": "user", "name": "sp@example.org", "content": "The garden is large."}], user_id="ana")
    mem.set_access_policy("hide", HIDE, namespace="*")

    reasons = mem.bind(user_id="ana").search("What did zz@example.org say?").reasons

    assert "example" not in str(reasons)


@pytest.fixture
def unlabelled(mem: MemOS) -> MemOS:
    """What lacks its labels, for a policy ignored it: two of Ana's memories behind which there is one more."""
    mem.set_privacy_policy({"email": "ignore"}, user_id="ana")
    for _ in range(2):
        mem.add("Garden, garden: bo@example.org", user_id="ana", metadata={"cc": "bo@example.org"}, tags=["garden"])
    mem.add("The garden is large.", user_id="ana", tags=["garden"])
    mem.set_access_policy("hide", HIDE, namespace="*")
    return mem


def test_what_is_hidden_takes_no_place_of_what_is_shown(unlabelled: MemOS) -> None:
    ana = unlabelled.bind(user_id="ana")

    assert ["The garden is large."] == [hit.cube.text for hit in ana.search("garden", limit=1)]
    assert ["The garden is large."] == [cube.text for cube in ana.list(filters={"tags": "garden"}, limit=1)]


def test_no_page_and_no_deletion_confirms_a_guess(unlabelled: MemOS) -> None:
    ana = unlabelled.bind(user_id="ana")

    for guess in ("bo@example.org", "cy@example.org"):
        page = ana.list(filters={"metadata.cc": guess}, limit=1)
        assert ((), None) == (page.cubes, page.after)
        assert () == ana.what_if().delete(filters={"metadata.cc": guess}).ids
        assert () == ana.delete(filters={"metadata.cc": guess}).ids
    assert 3 == len(ana.list())


def test_what_a_rule_hides_is_merged_into_nothing(mem: MemOS) -> None:
    shared = mem.add(MAIL, user_id="ana").ids[0]
    mem.share(shared, to="users/bo", user_id="ana")
    mem.set_access_policy("hide", {**HIDE, "who": ["users/bo"]}, user_id="ana")
    bo = mem.bind(user_id="bo")
    own = bo.add("My own.").ids[0]

    for merging in (
        lambda: bo.merge(own, [shared]),
        lambda: bo.fuse([own, shared]),
        lambda: bo.plan_merge([shared, own]),
    ):
        with pytest.raises(InvalidInput, match="merge what may be read whole"):
            merging()

    assert ["My own."] == [cube.text for cube in mem.list(user_id="bo")]


@pytest.mark.parametrize("way", ["restore", "restore_to", "undo", "import"])
def test_what_comes_back_comes_with_its_labels(mem: MemOS, other: MemOS, clock: FrozenClock, way: str) -> None:
    if way == "import":
        other.set_privacy_policy({"email": "ignore"}, user_id="ana")
        id = other.add(MAIL, user_id="ana").ids[0]
        assert () == other.get(id, user_id="ana").header.governance.sensitivity
    else:
        mem.set_privacy_policy({"email": "ignore"}, user_id="ana")
        id = mem.add(MAIL, user_id="ana").ids[0]
        clock.advance(timedelta(seconds=1))
        mem.snapshot("before", user_id="ana")
        clock.advance(timedelta(seconds=1))
        mem.merge(id, [mem.add("Clean.", user_id="ana").ids[0]], content="Clean.", user_id="ana")
        mem.set_privacy_policy({"email": "tag"}, user_id="ana")
    mem.share(to="users/bo", user_id="ana")
    mem.set_access_policy(
        "deny", {"effect": "deny", "what": {"sensitivity": "pii:email"}, "who": ["users/bo"]}, namespace="*"
    )

    match way:
        case "restore":
            mem.restore(id, 1, user_id="ana")
        case "restore_to":
            mem.restore_to("before", user_id="ana")
        case "undo":
            mem.undo(id, user_id="ana")
        case _:
            mem.import_records([from_line(line) for line in other.export_lines()])

    cube = mem.get(id, user_id="ana")
    assert (MAIL, ("pii:email",)) == (cube.text, cube.header.governance.sensitivity)
    assert [] == list(mem.bind(user_id="bo").search("garden", namespaces="users/ana"))
    with pytest.raises(UnknownMemory):
        mem.bind(user_id="bo").get(id)


def test_an_import_that_comes_again_writes_nothing(mem: MemOS, other: MemOS) -> None:
    other.set_privacy_policy({"email": "ignore"}, user_id="ana")
    id = other.add(MAIL, user_id="ana").ids[0]
    records = [from_line(line) for line in other.export_lines()]
    mem.import_records(records)

    assert (id,) == mem.import_records(records).known
    assert ["add", "import"] == [one.cube.header.descriptive.cause for one in mem.history(id, user_id="ana")]


def test_what_a_pathway_left_out_is_named_without_what_is_hidden() -> None:
    way = Transformed(pathway="parametric-plaintext", left=("bo@example.org: owner",))
    cube = a_cube("A text.", provenance=Provenance(transformed=way))

    shown = without(cube, [Kind.EMAIL]).header.descriptive.provenance

    assert shown is not None
    assert shown.transformed is not None
    assert "bo@example.org" not in shown.transformed.left[0]
    assert without(cube, [Kind.IBAN]) is cube
