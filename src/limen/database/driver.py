"""psycopg, which only `limen[postgres]` has, and what it makes of a URL."""

from limen.errors import ConfigurationError

VARIABLE = "LIMEN_DATABASE_URL"
WORKS = "postgresql://limen@db.example.com/limen?sslmode=verify-full"


def require_psycopg(url: str) -> None:
    """Refuse to go on without psycopg, or with a URL that libpq cannot read.

    Raises:
        ConfigurationError: One of the two; the message repeats nothing of the URL.
    """
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415  only limen[postgres] has it
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ImportError:
        problem, works = "PostgreSQL needs psycopg", "pip install 'limen[postgres]'"
    else:
        try:
            conninfo_to_dict(url)
        except ProgrammingError:
            problem, works = "libpq cannot read this URL of PostgreSQL", WORKS
        else:
            return
    raise ConfigurationError(VARIABLE, problem, works) from None
