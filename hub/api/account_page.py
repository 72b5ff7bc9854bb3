"""What the page of an account says, to whoever may read it."""

from typing import Any, Final

import msgspec

from hub.api.bodies import encoded
from hub.api.ports import AccountView
from hub.clock import iso
from hub.ingest.reading import FIELDS, Reading

# What the broker notes about an account is not its owner's to read.
_NOT_FOR_CLIENTS: Final = frozenset({"v", "tags", "attributes"})


def account_page(key: str, view: AccountView | None, seen: Reading | None, *, is_clients: bool) -> bytes:
    """Return the folded fields as JSON, and beside them what was last sampled: the two are never mixed."""
    sampled = (
        {
            **{
                name: str(value) for name, value in zip(FIELDS, seen.values, strict=True) if value is not None
            },
            "at": iso(seen.at),
        }
        if seen is not None
        else None
    )
    page: dict[str, Any] = {
        "key": key,
        "sequence": view.sequence if view is not None else 0,
        "account": _account_json(view.account, is_clients=is_clients) if view is not None else None,
        "sampled": sampled,
    }
    if not is_clients:
        page["client"] = msgspec.Raw(view.client) if view is not None and view.client is not None else None
    return encoded(page)


def _account_json(stored: bytes, *, is_clients: bool) -> Any:
    if not is_clients:
        return msgspec.Raw(stored)
    fields = msgspec.json.decode(stored, type=dict[str, msgspec.Raw])
    return {name: value for name, value in fields.items() if name not in _NOT_FOR_CLIENTS}
