"""What other processes do is obeyed here, and their keys are taken over, whatever fails."""

import pytest
from sqlalchemy import delete, event

from limen.database.schema import signing_keys
from limen.errors import DatabaseUnavailable
from limen.limen import Limen
from tests.stored import disk_error

pytestmark = pytest.mark.anyio


async def test_new_keys_are_taken_over_although_the_first_reading_of_them_failed(
    limen: Limen, twin: Limen
) -> None:
    """The announcement is pulled once; the keys behind it may need a second try."""
    following = limen.features.following
    reader = limen.features.database._readers.engine.sync_engine

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM signing_keys" in statement:
            raise disk_error(limen)

    event.listen(reader, "before_cursor_execute", fail)
    made = await twin.features.keys.rotate()
    with pytest.raises(DatabaseUnavailable):
        await following.catch_up()
    assert following.check() == "new ones could not be read"
    event.remove(reader, "before_cursor_execute", fail)
    await following.catch_up()

    assert following.check() == "ok"
    assert limen._memory.ring.find(made.kid) is not None


async def test_keys_that_have_gone_from_the_database_go_on_being_used(
    limen: Limen, twin: Limen
) -> None:
    """A database that was restored wrongly must not sign everybody out."""
    known = limen._memory.ring.all
    async with twin.features.log.change() as change:
        await change.connection.execute(delete(signing_keys))
        await change.announce_keys()
    await limen.features.following.catch_up()

    assert limen._memory.ring.all == known
    assert limen.features.following.check() == "ok"


async def test_a_rotation_signs_here_at_once_where_it_is_an_emergency(limen: Limen) -> None:
    made = await limen.features.following.rotate_keys(emergency=True)

    assert limen._memory.ring.signing.kid == made.kid
