"""S8, Keycloak CVE-2026-8922 and CVE-2026-18218: of several revocations, one alone was honoured.

A token is refused if its session has ended or its credential version is below the highest floor
of its account, whatever came first, last or twice.
"""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken
from limen.verify.revocations import Revocation, Revocations, subject_digest

SESSIONS, ACCOUNTS, VERSIONS = ["s1", "s2"], ["u1", "u2"], range(1, 5)

ends = st.sampled_from(SESSIONS).map(lambda sid: ("session", subject_digest(sid), 0))
floors = st.tuples(
    st.just("account"),
    st.sampled_from(ACCOUNTS).map(subject_digest),
    st.sampled_from(VERSIONS),
)


def claims(user_id: str, sid: str, cv: int) -> Claims:
    return Claims(user_id, sid, "t", "i", ("a",), 0, 0, 1, cv, frozenset())


def refused(revocations: Revocations, token: Claims) -> bool:
    try:
        revocations.check(token)
    except InvalidToken:
        return True
    return False


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.lists(st.one_of(ends, floors), max_size=8), st.randoms(use_true_random=False))
def test_every_revocation_counts_in_any_order(
    entries: list[tuple[str, str, int]], dice: Random
) -> None:
    log = [Revocation(n, kind, who, value, 9) for n, (kind, who, value) in enumerate(entries, 1)]  # type: ignore[arg-type]
    shuffled = log + dice.sample(log, len(log) // 2)
    dice.shuffle(shuffled)
    revocations = Revocations(monotonic=lambda: 0.0)
    revocations.apply(shuffled)
    revocations.synced()

    for user_id in ACCOUNTS:
        floor = max(
            (value for _, who, value in entries if who == subject_digest(user_id)), default=0
        )
        for sid in SESSIONS:
            ended = ("session", subject_digest(sid), 0) in entries
            for cv in VERSIONS:
                assert refused(revocations, claims(user_id, sid, cv)) == (ended or cv < floor)
