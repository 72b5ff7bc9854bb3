"""A running hub, asked over its own API; trouble becomes one sentence."""

from typing import Any

import aiohttp
import orjson

from hub.errors import SourceRefused, SourceUnavailable

_WITHIN = aiohttp.ClientTimeout(total=30)
Query = dict[str, str]


class RemoteHub:
    def __init__(self, url: str, key: str) -> None:
        if not key:
            raise SourceRefused("an API key is needed: set HUB_KEY in the environment, or give --key")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        raw: tuple[str, bytes] | None = None,
    ) -> Any:
        """Return the answer's JSON; raises SourceRefused with the hub's own words, SourceUnavailable when it is away.

        `raw` is a media type and a body as it is to be sent, in the place of `body`.
        """
        if body is not None:
            raw = "application/json", orjson.dumps(body)
        media, data = raw if raw is not None else ("", None)
        headers = self._headers | ({"Content-Type": media} if data is not None else {})
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=_WITHIN, trust_env=False) as session,
                session.request(
                    method, self._url + path, params=query, data=data, allow_redirects=False
                ) as response,
            ):
                text = await response.read()
                status = response.status
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise SourceRefused(
                f"{self._url} is no address of a hub: write --url http://HOST:PORT"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceUnavailable(
                f"no hub answers at {self._url} ({type(error).__name__}): start one with `hub run`, or name it with --url"
            ) from error
        if status == 204:
            return None
        try:
            answer = orjson.loads(text)
        except ValueError as error:
            raise SourceRefused(f"{self._url} does not answer like a hub (status {status})") from error
        if status == 401:
            raise SourceRefused(
                "the hub does not know this API key: it is another hub's, or was revoked (HUB_KEY, or --key)"
            )
        if status == 503:
            raise SourceUnavailable(f"the hub answered {status}: {_words(answer)}")
        if status >= 400:
            raise SourceRefused(f"the hub answered {status}: {_words(answer)}")
        return answer


def refusal(status: int, body: bytes) -> str:
    """Return what a hub said when it refused."""
    try:
        return f"the hub answered {status}: {_words(orjson.loads(body))}"
    except ValueError:
        return f"it does not answer like a hub (status {status})"


def _words(problem: Any) -> str:
    if not isinstance(problem, dict):
        return "no reason given"
    said = str(problem.get("detail") or problem.get("title") or "no reason given")
    errors = problem.get("errors") or []
    lines = [f"{error.get('field')}: {error.get('reason')}" for error in errors if isinstance(error, dict)]
    return said + "".join(f"\n  {line}" for line in lines if line != said)
