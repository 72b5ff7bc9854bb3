"""`hub schema`: what editors and other programs check against."""

import json
from typing import Any

from hub.api.app import ROUTES
from hub.api.openapi import openapi
from hub.engine.message_files import message_schema
from hub.engine.model_blueprint import file_schema
from hub.engine.model_declared import declaration_schema
from hub.errors import ConfigError
from hub.events.asyncapi import asyncapi
from hub.events.schema import event_schema


def print_schema(what: str) -> int:
    print(json.dumps(_schema(what), indent=2))
    return 0


def _schema(what: str) -> dict[str, Any]:
    match what:
        case "event":
            return event_schema()
        case "workflow":
            return file_schema()
        case "openapi":
            return openapi(ROUTES)
        case "asyncapi":
            return asyncapi()
        case "declaration":
            return declaration_schema()
        case "template":
            return message_schema()
        case _:
            raise ConfigError(
                f"there is no schema {what!r}: ask for event, workflow, declaration, template, openapi or asyncapi"
            )
