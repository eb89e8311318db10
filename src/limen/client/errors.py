"""What a client of limen may have to tell its user.

    ClientError
    ├── NotSignedIn             nobody is signed in here: ask for a sign-in
    │   └── SignedOut           somebody was, and limen has refused the session for good
    ├── SignInRefused           e-mail address or password is wrong: ask again
    ├── TooManySignIns          wait `retry_after` seconds before the next attempt
    ├── LimenUnavailable        nothing was decided, nothing is lost: try again later
    │   └── UnexpectedAnswer    what answered does not speak like limen: check the address
    ├── SignOutUnconfirmed      signed out here; limen could not be told
    └── StoreUnusable           the stored session cannot be read or written as it must be

No message repeats an e-mail address, a password or a token.
"""


class ClientError(Exception):
    """Everything that limen.client raises on purpose."""


class NotSignedIn(ClientError):
    def __init__(self) -> None:
        super().__init__("Nobody is signed in here: call sign_in(), or give email and password.")


class SignedOut(NotSignedIn):
    """The session is over. The store has been cleared."""

    def __init__(self) -> None:
        ClientError.__init__(
            self,
            "limen has ended this session: it expired, was signed out elsewhere, or its refresh"
            " token was used by somebody else too, who may have stolen it. Sign in again.",
        )


class SignInRefused(ClientError):
    def __init__(self) -> None:
        super().__init__("limen has refused this e-mail address and password.")


class TooManySignIns(ClientError):
    def __init__(self, retry_after: float | None) -> None:
        self.retry_after = retry_after
        wait = "a while" if retry_after is None else f"{retry_after:g} seconds"
        super().__init__(f"There were too many attempts to sign in: wait {wait}.")


class LimenUnavailable(ClientError):
    """limen could not be asked, or could not answer. What the store holds is as good as before."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(f"limen cannot be asked just now ({why}). What is stored was kept.")


class UnexpectedAnswer(LimenUnavailable):
    def __init__(self, path: str, status: int) -> None:
        self.retry_after = None
        ClientError.__init__(
            self,
            f"{path} was answered with {status}, but not as limen does: is the address right?"
            " What is stored was kept.",
        )


class SignOutUnconfirmed(ClientError):
    """The store has been cleared all the same."""

    def __init__(self) -> None:
        super().__init__(
            "You are signed out here, but limen could not be told: the session goes on there until"
            " it expires, or is ended from elsewhere."
        )


class StoreUnusable(ClientError):
    def __init__(self, what: str, problem: str, cure: str) -> None:
        super().__init__(f"{what} {problem}. {cure}")
