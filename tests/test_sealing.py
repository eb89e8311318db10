"""What is sealed is opened by limen alone, and only where it was sealed."""

import secrets

from limen.sealing import Opened, Seal

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


def test_what_was_sealed_can_be_opened_and_is_different_each_time() -> None:
    seal = Seal([NEW])

    assert seal.open(seal.seal(b"content", "row"), "row") == Opened(b"content", is_stale=False)
    assert seal.seal(b"content", "row") != seal.seal(b"content", "row")
    assert b"content" not in seal.seal(b"content", "row")


def test_what_an_older_secret_sealed_is_opened_and_called_stale() -> None:
    sealed = Seal([OLD]).seal(b"content", "row")

    assert Seal([NEW, OLD]).open(sealed, "row") == Opened(b"content", is_stale=True)
    assert Seal([NEW]).open(sealed, "row") is None


def test_what_was_moved_changed_or_cut_is_not_opened() -> None:
    seal = Seal([NEW])
    sealed = seal.seal(b"content", "row")
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]

    assert seal.open(sealed, "another row") is None
    assert seal.open(changed, "row") is None
    assert seal.open(sealed[:-1], "row") is None
    assert seal.open(sealed[:12], "row") is None
    assert seal.open(b"", "row") is None
