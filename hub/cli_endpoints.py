"""`hub endpoints …`: where a running hub delivers events to."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

endpoints = typer.Typer(help="Webhook endpoints of a running hub.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id, ep_….")]
Events = Annotated[list[str] | None, typer.Option("--event", "-e", help="Type or pattern; repeatable.")]
Description = Annotated[str | None, typer.Option("--description", help="What it is for.")]
Owner = Annotated[str | None, typer.Option("--owner", help="Who looks after the receiver.")]
Where = Annotated[
    str | None, typer.Option("--where", help="Only events this is true for, such as data.lots >= 1.")
]
Channels = Annotated[list[str] | None, typer.Option("--channel", help="Only of these channels; repeatable.")]
Form = Annotated[str | None, typer.Option("--format", help="standard, cloudevents or raw.")]
Transform = Annotated[str | None, typer.Option("--transform", help="A template; @FILE reads it from a file.")]
ContentType = Annotated[str | None, typer.Option("--content-type", help="Of a raw body.")]
Headers = Annotated[
    list[str] | None, typer.Option("--header", help="'Name: value', sent with each; repeatable.")
]
SecretHeaders = Annotated[
    list[str] | None,
    typer.Option("--secret-header", help="As --header, and never shown; 'Name: @FILE' reads the value."),
]
Scheme = Annotated[str | None, typer.Option("--scheme", help="standard, stripe or github signatures.")]
Schedule = Annotated[
    str | None, typer.Option("--schedule", help="Seconds between attempts, such as 5,60,600.")
]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Seconds an attempt may take.")]
Rate = Annotated[float | None, typer.Option("--rate", help="Deliveries a second at most.")]
Burst = Annotated[int | None, typer.Option("--burst", help="How many of them at once.")]
Concurrency = Annotated[int | None, typer.Option("--concurrency", help="Attempts at a time.")]
Order = Annotated[str | None, typer.Option("--order", help="none, or account: an account's events in order.")]
Stuck = Annotated[str | None, typer.Option("--stuck", help="block, park or skip, with --order account.")]
StuckFor = Annotated[
    float | None, typer.Option("--stuck-for", help="Seconds one that fails holds up others.")
]
Challenge = Annotated[
    bool | None, typer.Option("--challenge/--no-challenge", help="Ask the receiver first whether it agrees.")
]


@endpoints.command("add")
def endpoints_add(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A URL, or kafka:TOPIC.")],
    events: Events = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Make it, and send nothing yet.")] = False,
    description: Description = None,
    owner: Owner = None,
    where: Where = None,
    channels: Channels = None,
    form: Form = None,
    transform: Transform = None,
    content_type: ContentType = None,
    headers: Headers = None,
    secret_headers: SecretHeaders = None,
    scheme: Scheme = None,
    schedule: Schedule = None,
    timeout: Timeout = None,
    rate: Rate = None,
    burst: Burst = None,
    concurrency: Concurrency = None,
    order: Order = None,
    stuck: Stuck = None,
    stuck_for: StuckFor = None,
    challenge: Challenge = None,
    signing: Annotated[
        str | None, typer.Option("--signing", help="v1: a shared secret; v1a: ed25519.")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Make an endpoint and print its secret, this once; without --event it gets everything."""
    from hub.commands.endpoints import add, wishes  # noqa: PLC0415 (start-up time)

    body = wishes(
        description=description,
        owner=owner,
        where=where,
        channels=channels,
        format=form,
        transform=transform,
        content_type=content_type,
        headers=headers,
        secret_headers=secret_headers,
        scheme=scheme,
        schedule=schedule,
        timeout=timeout,
        rate=rate,
        burst=burst,
        concurrency=concurrency,
        order=order,
        stuck=stuck,
        stuck_for=stuck_for,
        challenge=challenge,
        signing=signing,
    )
    raise typer.Exit(add(url, api_key, target, events or ["*"], body, disabled=disabled, as_json=as_json))


@endpoints.command("set")
def endpoints_set(
    endpoint_id: Id,
    target: Annotated[str | None, typer.Option("--target", help="The new URL.")] = None,
    events: Events = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable")] = None,
    description: Description = None,
    owner: Owner = None,
    where: Where = None,
    channels: Channels = None,
    form: Form = None,
    transform: Transform = None,
    content_type: ContentType = None,
    headers: Headers = None,
    secret_headers: SecretHeaders = None,
    scheme: Scheme = None,
    schedule: Schedule = None,
    timeout: Timeout = None,
    rate: Rate = None,
    burst: Burst = None,
    concurrency: Concurrency = None,
    order: Order = None,
    stuck: Stuck = None,
    stuck_for: StuckFor = None,
    challenge: Challenge = None,
    reset: Annotated[
        list[str] | None, typer.Option("--reset", help="Back to what is usual: rate, where, …; repeatable.")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Change what you name, and leave the rest."""
    from hub.commands.endpoints import change, wishes  # noqa: PLC0415 (start-up time)

    body = wishes(
        url=target,
        events=events,
        enabled=enabled,
        description=description,
        owner=owner,
        where=where,
        channels=channels,
        format=form,
        transform=transform,
        content_type=content_type,
        headers=headers,
        secret_headers=secret_headers,
        scheme=scheme,
        schedule=schedule,
        timeout=timeout,
        rate=rate,
        burst=burst,
        concurrency=concurrency,
        order=order,
        stuck=stuck,
        stuck_for=stuck_for,
        challenge=challenge,
    )
    raise typer.Exit(change(url, api_key, endpoint_id, body | dict.fromkeys(reset or ()), as_json=as_json))


@endpoints.command("list")
def endpoints_list(url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """List endpoints and how they are doing."""
    from hub.commands.endpoints import list_all  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_all(url, api_key, as_json=as_json))


@endpoints.command("show")
def endpoints_show(endpoint_id: Id, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Show everything about one but its secrets."""
    from hub.commands.endpoints import show_one  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_one(url, api_key, endpoint_id, as_json=as_json))


@endpoints.command("remove")
def endpoints_remove(endpoint_id: Id, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Delete an endpoint and cancel what waits for it."""
    from hub.commands.endpoints import remove  # noqa: PLC0415 (start-up time)

    raise typer.Exit(remove(url, api_key, endpoint_id, as_json=as_json))


@endpoints.command("test")
def endpoints_test(endpoint_id: Id, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Send a test event to this endpoint alone."""
    from hub.commands.endpoints import send_test  # noqa: PLC0415 (start-up time)

    raise typer.Exit(send_test(url, api_key, endpoint_id, as_json=as_json))


@endpoints.command("rotate")
def endpoints_rotate(
    endpoint_id: Id,
    kind: Annotated[str | None, typer.Option("--kind", help="v1 or v1a; as it is when left out.")] = None,
    grace: Annotated[
        str, typer.Option("--grace", help="How long the old key signs beside the new one, 0 to 7d.")
    ] = "24h",
    secret_file: Annotated[
        str | None, typer.Option("--secret-file", help="A whsec_ secret of your own, in a file.")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Give it a new signing key and print its secret, this once; the old one signs beside it for a while."""
    from hub.commands.endpoints import rotate  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        rotate(url, api_key, endpoint_id, kind=kind, grace=grace, secret_file=secret_file, as_json=as_json)
    )


@endpoints.command("preview")
def endpoints_preview(
    endpoint_id: Id,
    event: Annotated[
        str | None, typer.Option("--event", help="A stored event; the newest of its types when left out.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option("--sample", help="An event as JSON with type and data; @FILE reads it.")
    ] = None,
    where: Where = None,
    form: Form = None,
    transform: Transform = None,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Show what it would be sent for an event, or why not; the exit code is 1 if it would not be sent."""
    from hub.commands.endpoints import preview, wishes  # noqa: PLC0415 (start-up time)

    tried = wishes(where=where, format=form, transform=transform)
    raise typer.Exit(
        preview(url, api_key, endpoint_id, event=event, sample=sample, tried=tried, as_json=as_json)
    )


# What these were called first: scripts that say so go on working.
endpoints.command("create", hidden=True)(endpoints_add)
endpoints.command("delete", hidden=True)(endpoints_remove)


def register(app: typer.Typer) -> None:
    app.add_typer(endpoints, name="endpoints")
