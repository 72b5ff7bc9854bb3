"""Messages to clients as a step asks for them: whose contact each is, and whether the client wants that kind."""

from hub.engine.account_rows import ClientRow
from hub.intents.contact import NEEDS_CONSENT
from hub.intents.verbs import Params, ToClient


def addressed(params: Params, client: ClientRow) -> tuple[Params, str]:
    """Return the parameters with whose contact it is, and why it is not to be sent, if it is not.

    Only where the step says what kind of message it is. What is not known of a client is a no.
    """
    if not isinstance(params, ToClient) or params.category is None:
        return params, ""
    if params.client is None and client.id is not None:
        params = params.model_copy(update={"client": client.id})
    if params.category not in NEEDS_CONSENT:
        return params, ""
    if client.id is None or params.client != client.id:
        return (
            params,
            f"client.consent_marketing is missing: nobody knows the client this {params.category} is for",
        )
    if client.consent_marketing is None:
        return params, f"client.consent_marketing is missing: client {client.id} has not said"
    if not client.consent_marketing:
        return params, f"client.consent_marketing is false: client {client.id} wants no {params.category}"
    return params, ""
