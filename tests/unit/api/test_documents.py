"""What is generated of the routes and the catalogue is generated for who asks for it, and once."""

import asyncio
from typing import Any

import msgspec

from hub.api.docs import Document


async def test_a_document_is_generated_once_and_not_before_somebody_asks() -> None:
    generated: list[int] = []

    def generate() -> dict[str, Any]:
        generated.append(1)
        return {"openapi": "3.1.0"}

    document = Document(generate)
    assert generated == []

    first, *others = await asyncio.gather(*(document.get() for _ in range(5)))

    assert bytes(first) == msgspec.json.encode({"openapi": "3.1.0"})
    assert all(each is first for each in others)
    assert generated == [1]
