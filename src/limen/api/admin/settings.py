"""/settings: every option as it stands in this process, secrets hidden."""

from fastapi import APIRouter

from limen.api.admin.bodies import SettingReply, SettingsReply
from limen.api.admin.parameters import NO_QUERY
from limen.api.wiring import Wiring, refusals


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/settings", dependencies=[NO_QUERY], responses=refusals(400, 401, 403, 422, 503))
    async def list_settings() -> SettingsReply:
        """Show the settings. They are changed where limen is started, and nowhere else."""
        return SettingsReply(
            settings=[SettingReply(**one._asdict()) for one in limen.shown_settings()]
        )
