"""`Limen`: the login, ready to be put into an application.

    limen = Limen()                            # settings from LIMEN_* environment variables
    app = FastAPI()
    app.include_router(limen.router)           # its routes; the application starts and stops it

    @app.get("/orders")
    async def orders(user: Annotated[Claims, Depends(limen.current_user)]) -> ...

`app.include_router(limen.admin_router)` adds the administration, for the scope `admin`.
`limen.guard(app, open=[...])` closes every route of the application that is not named.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import cached_property

from fastapi import APIRouter, FastAPI

from limen import api
from limen.api.wiring import Wiring
from limen.clock import Clock, system_clock
from limen.custom_claims import ClaimsFunction
from limen.events import Event, Events
from limen.features import Features
from limen.memory import Memory
from limen.opening import in_the_background, opened
from limen.policies import LIMIT_NAMES
from limen.settings import Argon2Cost, Settings
from limen.subscribers import E, Subscribers, Told
from limen.telemetry.logs import log_events
from limen.telemetry.metrics import Metrics
from limen.verify.fastapi import CurrentUser, add_problem_handlers
from limen.verify.middleware import Guard


class Limen:
    """The login of one application.

    `claims` says what else stands in access tokens (`limen.custom_claims`). `subscribers` are
    called with every event (`limen.events`), sync or async (`limen.subscribers`). `clock` and
    `cost` are for tests.

    Raises:
        ConfigurationError: A setting is wrong.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        claims: ClaimsFunction | None = None,
        subscribers: Collection[Told[Event]] = (),
        clock: Clock = system_clock,
        cost: Argon2Cost | None = None,
    ) -> None:
        self.settings = settings or Settings.from_environment()
        self.metrics = Metrics(limits=LIMIT_NAMES)
        self.events = Events(log_events, self.metrics.subscriber)
        self._subscribers = Subscribers()
        for subscriber in subscribers:
            self.on(Event)(subscriber)
        self._claims = claims
        self._clock = clock
        self._cost = cost
        self._memory = Memory.of(self.settings, clock)
        self._features: Features | None = None
        self.verifier = self._memory.verifier
        self.current_user = CurrentUser(self.verifier)
        self.roles = self.current_user.roles
        self._wiring = Wiring(self.settings, self._memory, self.current_user, lambda: self.features)

    @cached_property
    def router(self) -> APIRouter:
        """The login's routes; the application that includes them starts and stops limen."""
        return api.routes(self._wiring, self.lifespan)

    @cached_property
    def admin_router(self) -> APIRouter:
        """The routes of the administration."""
        return api.admin_routes(self._wiring)

    @cached_property
    def operations_router(self) -> APIRouter:
        """The routes for whoever runs the service."""
        metrics = self.metrics if self.settings.metrics else None
        return api.operations_routes(self._wiring, metrics)

    @property
    def features(self) -> Features:
        """What limen can do, for programs: `limen.features.accounts.disable(user_id)`.

        Raises:
            RuntimeError: The application has not started, or runs no lifespan.
        """
        if self._features is None:
            raise RuntimeError(
                "limen has not started: include limen.router before the application starts, "
                "or run 'async with limen.lifespan(app)' around it"
            )
        return self._features

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Run limen for the length of the block; within another such block, do nothing.

        Raises:
            ConfigurationError: The secret or the data directory cannot be used.
            DatabaseUnavailable: The database cannot be opened.
        """
        if self._features is not None:
            yield
            return
        opening = opened(
            self.settings,
            self._memory,
            clock=self._clock,
            events=self.events,
            cost=self._cost,
            claims=self._claims,
        )
        async with opening as features, in_the_background(features):
            self._features = features
            self.metrics.watch_password_queue(lambda: features.room.waiting)
            try:
                yield
            finally:
                await self._subscribers.finish()
                self._features = None

    def on(self, kind: type[E]) -> Callable[[Told[E]], Told[E]]:
        """Have the function called with each event of this kind, sync or async.

        It hears of what this process has done (`limen.subscribers`). `Event` is every kind.
        """

        def subscribe(function: Told[E]) -> Told[E]:
            self.events.subscribe(self._subscribers.told_of(kind, function))
            return function

        return subscribe

    def end_long_polls(self) -> None:
        """Answer whoever waits for revocations, now and from now on: the process will stop."""
        if self._features is not None:
            self._features.feed.close()

    def guard(self, app: FastAPI, *, open: Collection[str] = ()) -> None:  # noqa: A002
        """Close every route of the application but limen's own open ones and those named.

        The forms of an entry are those of `limen.verify.middleware`: "/path", "GET /path" and
        "/tree/*". Refusals are answered with problem documents (RFC 9457).
        """
        ours = {**api.OPEN, **(api.OPEN_INBOX if self._wiring.keeps_mail else {})}
        app.add_middleware(Guard, verifier=self.verifier, open=[*ours.values(), *open])
        add_problem_handlers(app)
