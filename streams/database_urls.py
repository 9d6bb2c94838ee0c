"""Database URLs as people may see them."""

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def shown(url: str) -> str:
    """Return the URL without a password in it; of what is no URL, nothing, because a password may be in that too.

    >>> shown("postgresql://likeness:secret@db/likeness?password=secret&sslpassword=secret")
    'postgresql://likeness:***@db/likeness?password=***&sslpassword=***'
    >>> shown("likeness:secret@db")
    "the ledger's URL"
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number
        return "the ledger's URL"
    # The driver takes passwords among the parameters as well.
    hidden = {name: "***" for name in parsed.query if "password" in name}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")
