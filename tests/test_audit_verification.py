"""Whatever is done to the trail by somebody who lacks the secret is found, and nothing else is."""

import asyncio
import secrets
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from limen.audit import AuditTrail
from limen.audit_chain import BEGINNING, DOUBTED, SECRET_CHANGED, Entry, Link
from limen.audit_tampering import WORDS, Broken
from limen.audit_verification import Report
from limen.events import SignIn
from limen.limen import Limen
from limen.origin import Origin
from tests.clock import ManualClock
from tests.trails import ADA, BOB, HOME, erased, happen, linked, live, put, stored

pytestmark = pytest.mark.anyio

OLD, NEW, NEWEST = b"1" * 32, b"2" * 32, b"3" * 32
NO_MAC = "A" * 43


async def verified(limen: Limen, *noted: Link) -> Report:
    return await limen.features.audit.verify(*noted)


async def broken(
    limen: Limen, entries: Sequence[Entry], head: Link | None = None, *noted: Link
) -> Broken | None:
    """Return what is found when these stand in the place of the trail."""
    await put(limen, entries, head)
    return (await verified(limen, *noted)).broken


def without(entries: Sequence[Entry], *seqs: int) -> list[Entry]:
    return [entry for entry in entries if entry.seq not in seqs]


def changed(entries: Sequence[Entry], seq: int, **values: object) -> list[Entry]:
    return [
        entry._replace(**values) if entry.seq == seq else entry  # type: ignore[arg-type]
        for entry in entries
    ]


async def test_a_trail_that_nobody_touched_is_as_limen_wrote_it(limen: Limen) -> None:
    await live(limen, 20)
    report = await verified(limen, await limen.features.audit.head())

    assert report.broken is None
    assert (report.first, report.entries, report.erased, report.unattested) == (1, 21, 0, 0)
    assert report.head == Link.of((await stored(limen))[-1])


async def test_an_empty_trail_is_whole(limen: Limen) -> None:
    assert await broken(limen, [], BEGINNING) is None


async def test_a_change_of_anything_shows_at_its_place(limen: Limen) -> None:
    await live(limen, 8)
    good = await stored(limen)
    for column in Entry._fields[1:]:
        for place in (1, 5, 9):
            value = 4711 if column == "at" else '{"x":1}'
            found = await broken(limen, changed(good, place, **{column: value}))
            assert found is not None, (column, place)
            assert found.seq == place, (column, place)
            assert found.kind in ("changed", "unattested")


async def test_an_entry_that_is_missing_shows_at_its_place(limen: Limen) -> None:
    await live(limen, 8)
    good = await stored(limen)

    assert await broken(limen, without(good, 1)) == Broken(1, "removed")
    assert await broken(limen, without(good, 5)) == Broken(5, "removed")
    assert await broken(limen, without(good, 4, 5, 6)) == Broken(4, "removed")
    assert await broken(limen, without(good, 9)) == Broken(9, "cut off")
    assert await broken(limen, []) == Broken(1, "cut off")


async def test_entries_that_have_changed_places_are_found(limen: Limen) -> None:
    await live(limen, 8)
    good = await stored(limen)
    for one, other in ((2, 7), (1, 9), (4, 5)):
        swapped = list(good)
        swapped[one - 1] = good[other - 1]._replace(seq=one)
        swapped[other - 1] = good[one - 1]._replace(seq=other)
        assert await broken(limen, swapped) == Broken(one, "moved")


async def test_an_entry_that_was_put_there_is_found(limen: Limen) -> None:
    await live(limen, 8)
    good = await stored(limen)
    invented = good[3]._replace(user_id=BOB, outcome="success")
    behind = [entry._replace(seq=entry.seq + 1) for entry in good[4:]]

    between = [*good[:4], invented._replace(seq=5), *behind]
    assert await broken(limen, between, Link.of(behind[-1])) == Broken(5, "added")
    head = Link.of(good[-1])
    assert await broken(limen, [*good, invented._replace(seq=10)], head) == Broken(10, "added")
    fitting = linked([*good, invented], BEGINNING)
    assert await broken(limen, fitting, head) == Broken(10, "added")
    assert await broken(limen, fitting, Link.of(fitting[-1])) == Broken(10, "unattested")


async def test_what_is_computed_anew_is_attested_by_no_secret(limen: Limen) -> None:
    """The digests are no secret. One entry is removed or changed, and all behind it fit again."""
    await live(limen, 8)
    good = await stored(limen)
    for rewritten in (without(good, 5), changed(good, 5, outcome="x")):
        entries = linked(rewritten, BEGINNING)
        assert await broken(limen, entries, Link.of(entries[-1])) == Broken(5, "unattested")
        entries = linked(rewritten, BEGINNING, NO_MAC)
        assert await broken(limen, entries, Link.of(entries[-1])) == Broken(1, "unattested")


async def test_a_head_that_was_changed_or_removed_is_found(limen: Limen) -> None:
    await live(limen, 8)
    good = await stored(limen)
    head = Link.of(good[-1])

    assert await broken(limen, good, head._replace(mac=NO_MAC)) == Broken(9, "changed")
    assert await broken(limen, good, head._replace(digest=NO_MAC)) == Broken(9, "changed")
    assert await broken(limen, good, Link.of(good[-2])) == Broken(9, "added")
    assert await broken(limen, good, head._replace(seq=12)) == Broken(10, "cut off")


async def test_an_end_that_was_cut_off_with_the_head_shows_against_an_anchor(limen: Limen) -> None:
    await live(limen, 8)
    good = await stored(limen)
    noted = Link.noted(str(await limen.features.audit.head()))

    assert await broken(limen, good[:6], Link.of(good[5])) is None
    assert await broken(limen, good[:6], Link.of(good[5]), noted) == Broken(7, "cut off")
    assert await broken(limen, [], BEGINNING, noted) == Broken(1, "cut off")


async def test_whoever_has_the_secret_cannot_rewrite_what_was_noted(limen: Limen) -> None:
    await live(limen, 8)
    good = await stored(limen)
    noted = Link.of(good[6])
    said = [entry._asdict() for entry in changed(good, 3, outcome="invalid_credentials")]
    for values in said:
        for name in ("seq", "digest", "mac"):
            del values[name]
    forged = limen.features.audit._attestation.append(said, BEGINNING)

    assert await broken(limen, forged, Link.of(forged[-1])) is None
    assert await broken(limen, forged, Link.of(forged[-1]), noted) == Broken(7, "changed")


@pytest.mark.parametrize(
    "text", ["", "4711", "x-" + NO_MAC, "-1-" + NO_MAC, "7-short", "٣-" + NO_MAC]
)
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="anchor"):
        Link.noted(text)


async def test_a_personal_part_may_be_missing_only_after_an_event_that_says_so(
    limen: Limen,
) -> None:
    await happen(limen, SignIn("success", ADA, "1" * 32))
    await happen(limen, SignIn("success", BOB, "2" * 32))
    await happen(limen, erased(ADA), where=Origin("operator"))
    await happen(limen, SignIn("success", ADA, "3" * 32))
    await happen(limen, SignIn("invalid_credentials"))
    good = await stored(limen)

    def erased_at(*seqs: int) -> list[Entry]:
        return [one._replace(personal=None) if one.seq in seqs else one for one in good]

    assert await broken(limen, erased_at(2)) is None
    assert (await verified(limen)).erased == 1
    assert await broken(limen, erased_at(2, 3)) == Broken(3, "erased")
    assert await broken(limen, erased_at(5)) == Broken(5, "erased")
    assert await broken(limen, erased_at(6)) == Broken(6, "erased")


async def test_what_an_administrator_did_is_his_to_have_erased(limen: Limen) -> None:
    admin = Origin("account", "c" * 32, "203.0.113.9")
    await happen(limen, SignIn("invalid_credentials", ADA), where=admin)
    await happen(limen, erased(ADA))
    good = await stored(limen)

    assert await broken(limen, changed(good, 2, personal=None)) == Broken(2, "erased")


async def test_tampering_at_random_is_always_found_and_its_undoing_is_fine(
    limen: Limen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, so that every edge of a page is met, too."""
    monkeypatch.setattr("limen.audit_verification.PAGE", 4)
    await live(limen, 12)
    await happen(limen, erased(ADA))
    good = await stored(limen)
    head = Link.of(good[-1])
    chance = Random(seed := secrets.randbits(32))
    print(f"seed {seed}")
    for _ in range(40):
        entries, place = tampered(good, chance)
        for where in (head, Link.of(entries[-1])):
            found = await broken(limen, entries, where)
            assert found is not None, place
            assert found.seq <= place or found.kind == "cut off"
    assert await broken(limen, good, head) is None


def tampered(good: Sequence[Entry], chance: Random) -> tuple[list[Entry], int]:
    """Do something to it; return what has become of it, and the place."""
    entries, one = list(good), chance.randrange(len(good) - 1)
    match chance.randrange(5):
        case 0:
            column = chance.choice(Entry._fields[1:])
            value: Any = chance.randrange(10**9) if column == "at" else chance.choice(["[]", "0"])
            entries[one] = entries[one]._replace(**{column: value})
        case 1:
            del entries[one]
        case 2:
            other = chance.choice([n for n in range(len(good)) if n != one])
            one, other = min(one, other), max(one, other)
            entries[one] = good[other]._replace(seq=good[one].seq)
            entries[other] = good[one]._replace(seq=good[other].seq)
        case 3:
            entries.insert(one, chance.choice([entry for entry in good if entry != good[one]]))
            entries = [entry._replace(seq=seq) for seq, entry in enumerate(entries, start=1)]
        case _:
            entries[one] = entries[one]._replace(at=chance.randrange(10**9))
            entries = linked(entries, BEGINNING, chance.choice([None, NO_MAC]))
            one = one if entries[0].mac == good[0].mac else 0
    return entries, one + 1


# The root secret is rotated, dropped, or lost.


def trail_of(limen: Limen, clock: ManualClock, *keys: bytes) -> AuditTrail:
    """Return the trail as a process with these secrets has it."""
    return AuditTrail(limen.features.database, keys, clock)


async def signed_in(limen: Limen, trail: AuditTrail, number: int = 3) -> None:
    for _ in range(number):
        async with limen.features.database.write() as connection:
            await trail.record(connection, [SignIn("success", ADA, "1" * 32)])
        await trail.seal()


@pytest.fixture
async def rotated(limen: Limen, clock: ManualClock) -> Limen:
    """A limen whose trail has entries of three secrets: 1 to 3, 4 to 7, 8 to 11."""
    await limen.features.audit.seal()
    await put(limen, [], BEGINNING)
    await signed_in(limen, trail_of(limen, clock, OLD))
    await signed_in(limen, trail_of(limen, clock, NEW, OLD))
    await signed_in(limen, trail_of(limen, clock, NEWEST, NEW))
    return limen


async def test_a_new_secret_says_so_first_and_vouches_for_what_the_old_one_made(
    rotated: Limen, clock: ManualClock
) -> None:
    kinds = [entry.kind for entry in await stored(rotated)]
    assert [n for n, kind in enumerate(kinds, start=1) if kind == SECRET_CHANGED] == [4, 8]
    assert len(kinds) == 11

    for keys, gone in (((NEWEST, NEW, OLD), 0), ((NEWEST, NEW), 3), ((NEWEST,), 7)):
        report = await trail_of(rotated, clock, *keys).verify()
        assert (report.broken, report.entries, report.unattested) == (None, 11, gone)


async def test_a_start_with_both_secrets_is_enough_to_drop_the_old_one(
    limen: Limen, clock: ManualClock
) -> None:
    """Though nothing happens while they are both there."""
    await limen.features.audit.seal()
    await put(limen, [], BEGINNING)
    await trail_of(limen, clock, NEW).take_over()
    await signed_in(limen, trail_of(limen, clock, OLD))
    for _ in range(2):
        await trail_of(limen, clock, NEW, OLD).take_over()
    assert [entry.kind for entry in await stored(limen)][3:] == [SECRET_CHANGED]

    await signed_in(limen, trail_of(limen, clock, NEW))
    report = await trail_of(limen, clock, NEW).verify()
    assert (report.broken, report.entries, report.unattested) == (None, 7, 3)


async def test_what_was_made_under_a_secret_that_has_gone_cannot_be_changed(
    rotated: Limen, clock: ManualClock
) -> None:
    good, trail = await stored(rotated), trail_of(rotated, clock, NEWEST)
    for place in (1, 2, 3, 5, 7):
        for column in ("actor", "digest", "mac", "commitment"):
            await put(rotated, changed(good, place, **{column: NO_MAC}))
            report = await trail.verify()
            assert report.broken is not None, (place, column)
            assert abs(report.broken.seq - place) <= 1
        anew = linked(changed(good, place, actor="operator"), BEGINNING)
        await put(rotated, anew, Link.of(anew[-1]))
        report = await trail.verify()
        assert report.broken == Broken(1, "unattested")
        await put(rotated, without(good, place), Link.of(good[-1]))
        assert (await trail.verify()).broken == Broken(place, "removed")


async def test_a_secret_that_others_have_learnt_is_worth_nothing_once_it_was_dropped(
    rotated: Limen, clock: ManualClock
) -> None:
    """Whoever has the old one puts an end of his own in the place of the true one."""
    good = await stored(rotated)
    await put(rotated, good[:3], Link.of(good[2]))
    await signed_in(rotated, trail_of(rotated, clock, OLD))

    assert (await trail_of(rotated, clock, NEWEST, NEW).verify()).broken == Broken(1, "unattested")


async def test_a_lost_secret_leaves_a_trail_that_only_an_anchor_vouches_for(
    rotated: Limen, clock: ManualClock
) -> None:
    other = trail_of(rotated, clock, b"4" * 32)
    await signed_in(rotated, other)
    assert (await stored(rotated))[11].kind == DOUBTED

    assert (await other.verify()).broken == Broken(1, "unattested")
    for anchor in (11, 12, 15):
        report = await other.verify(Link.of((await stored(rotated))[anchor - 1]))
        assert (report.broken, report.entries, report.unattested) == (None, 15, 11)


async def test_limen_does_not_vouch_for_an_end_that_is_not_its_own(
    limen: Limen, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on behind it, and what it makes attests nothing that lies before."""
    await live(limen, 8)
    good = await stored(limen)
    forged = linked(changed(good, 5, outcome="failure"), BEGINNING)
    await put(limen, forged, Link.of(forged[-1]))
    await live(limen, 2)

    assert "the end of the audit trail is not limen's" in caplog.text
    assert [entry.kind for entry in (await stored(limen))[9:]] == [DOUBTED, "sign_in", "sign_in"]
    assert (await verified(limen)).broken == Broken(5, "unattested")


async def test_limen_goes_on_behind_whatever_was_put_at_the_end(limen: Limen) -> None:
    """A head that was set back, or an entry behind it, must not keep it from recording."""
    await live(limen, 8)
    good = await stored(limen)
    await put(limen, good, Link.of(good[4]))
    await live(limen, 2)
    assert (await stored(limen))[-1].seq == 12
    assert (await verified(limen)).broken is None  # nothing is missing, and it was said: see 10

    await put(limen, good[:4], Link.of(good[8]))
    await live(limen, 2)
    assert (await verified(limen)).broken == Broken(5, "removed")


async def test_what_limen_does_meanwhile_is_no_tampering(
    limen: Limen, twin: Limen, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries are made, erased and pruned while the chain is walked, again and again."""
    monkeypatch.setattr("limen.audit_verification.PAGE", 2)
    monkeypatch.setattr("limen.audit.BATCH", 3)
    await live(limen, 12)

    async def go_on() -> None:
        for n in range(12):
            clock.tick(1)
            await live(twin, 1)
            if n % 2:
                await twin.features.audit.prune(clock() - 5)
            await happen(twin, erased(ADA))
            await twin.features.erasure._erase_entries(ADA)

    going_on = asyncio.create_task(go_on())
    reports = []
    while not going_on.done():
        reports.append(await verified(limen))
    await going_on
    print(f"{len(reports)} walks meanwhile")

    assert [report.broken for report in reports] == [None] * len(reports)
    assert (await verified(limen)).first > 1


async def test_origins_of_the_tests_are_personal(limen: Limen) -> None:
    await happen(limen, SignIn("success", ADA), where=HOME)

    assert HOME.address is not None
    assert HOME.address in str((await stored(limen))[-1].personal)


def test_there_are_words_for_every_kind_of_tampering() -> None:
    assert set(WORDS) == set(Broken.__annotations__["kind"].__args__)
