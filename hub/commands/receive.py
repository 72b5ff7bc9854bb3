"""`hub receive`: a receiver to try things out with, checking signatures as any receiver should."""

import asyncio
import json
import signal

from aiohttp import web
from rich.console import Console
from rich.markup import escape
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from hub.errors import ConfigError

_LARGEST = 1024 * 1024


def is_signed(verifier: Webhook, body: bytes, request: web.Request) -> bool:
    try:
        verifier.verify(body, dict(request.headers))
    except (
        WebhookVerificationError,
        ValueError,
    ):  # the package lets some malformed headers through as ValueError
        return False
    return True


class Receiver:
    """Answers 204 to what is signed rightly and 401 to everything else; `seen` holds ids, so a repeat is told apart."""

    def __init__(self, secret: str, *, as_json: bool, enough: int) -> None:
        try:
            self._verifier = Webhook(secret)
        except (ValueError, RuntimeError) as error:
            raise ConfigError(
                "that is no secret: use the whsec_… text printed when the endpoint was created"
            ) from error
        self._as_json = as_json
        self._enough = enough
        self._console = Console()
        self.seen: set[str] = set()
        self.done = asyncio.Event()

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not is_signed(self._verifier, body, request):
            self._console.print("[red]refused[/red] a request whose signature is wrong")
            return web.Response(status=401)
        event = json.loads(body)
        again = event["id"] in self.seen
        self.seen.add(event["id"])
        if self._as_json:
            print(body.decode(), flush=True)
        else:
            mark = "[yellow]again[/yellow]" if again else "[green]verified[/green]"
            self._console.print(
                f"{mark} {escape(event['type'])} {escape(event['id'])} {escape(json.dumps(event['data']))}"
            )
        if self._enough and len(self.seen) >= self._enough:
            self.done.set()
        return web.Response(status=204)


def run_receiver(secret: str, port: int, count: int, *, as_json: bool) -> int:
    asyncio.run(_serve(secret, port, count, as_json=as_json))
    return 0


async def _serve(secret: str, port: int, count: int, *, as_json: bool) -> None:
    receiver = Receiver(secret, as_json=as_json, enough=count)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, receiver.done.set)
    app = web.Application(client_max_size=_LARGEST)
    app.router.add_post("/{path:.*}", receiver.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        if not as_json:
            print(f"receiving on {site.name}", flush=True)
        await receiver.done.wait()
    except OSError as error:
        raise ConfigError(
            f"cannot listen on port {port} ({error.strerror}): choose another with --port"
        ) from error
    finally:
        await runner.cleanup()
