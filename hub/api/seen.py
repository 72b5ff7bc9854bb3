"""Which accounts a viewer asks for, and whether he may: one that is not his is answered like one that does not exist."""

from hub.api.feeds import Feeds
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.viewer import Viewer
from hub.ingest.clients import MAX_ACCOUNTS


async def asked_accounts(feeds: Feeds, viewer: Viewer, query: Query) -> frozenset[str] | None:
    """Return the accounts of `account` and `client`, of those the viewer may see; None means all."""
    may = await feeds.accounts(viewer)
    named = _named(query)
    if may is not None and (not may or not (named or frozenset()) <= may):
        raise not_yours()
    client = query.text("client")
    if client:
        if viewer.token is not None and client != viewer.token.client:
            raise not_yours()
        of_client = await feeds.tokens.accounts_of_client(client)
        if not of_client and viewer.token is None:
            raise not_found("client of that id that has accounts")
        named = of_client if named is None else named & of_client
    if may is None:
        return named
    return may if named is None else named & may


async def must_see(feeds: Feeds, viewer: Viewer, account: str) -> None:
    """Raise Problem for an account the viewer may not see."""
    may = await feeds.accounts(viewer)
    if may is not None and account not in may:
        raise not_yours()


def not_yours() -> Problem:
    return Problem(403, "not-yours", "this token may not read that")


def _named(query: Query) -> frozenset[str] | None:
    words = query.words("account")
    if not words:
        return None
    if len(words) > MAX_ACCOUNTS:
        raise Problem(400, "bad-query", f"account: name at most {MAX_ACCOUNTS}")
    named = set()
    for word in words:
        server, _, login = word.rpartition(":")
        if not server or not (login.isascii() and login.isdigit() and len(login) < 20):
            raise Problem(400, "bad-query", 'account: must be "server:login"')
        named.add(f"{server}:{int(login)}")
    return frozenset(named)
