"""`hub approvals …`: what waits for a person, in a running hub."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

approvals = typer.Typer(help="What waits for a person, in a running hub.", no_args_is_help=True)

Approval = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, apr_….")]
Comment = Annotated[str, typer.Option("--comment", help="Why, for whoever asks later.")]
Seen = Annotated[str, typer.Option("--hash", help="The hash of what you have looked at.")]


@approvals.command("list")
def approvals_list(
    state: Annotated[
        str,
        typer.Option("--state", help="open (the default), approved, declined, expired, withdrawn or any."),
    ] = "open",
    workflow: Annotated[str, typer.Option("--workflow")] = "",
    account: Annotated[str, typer.Option("--account", help="server:login")] = "",
    permission: Annotated[str, typer.Option("--permission", help="Such as money.approve.")] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List what waits for a person, the newest first."""
    from hub.commands.approvals import list_approvals  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        list_approvals(
            url,
            api_key,
            state=state,
            workflow=workflow,
            account=account,
            permission=permission,
            as_json=as_json,
        )
    )


@approvals.command("show")
def approvals_show(name: Approval, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Show what would be done, and everything to know about it."""
    from hub.commands.approvals import show_approval  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_approval(url, api_key, name, as_json=as_json))


@approvals.command("approve")
def approvals_approve(
    name: Approval,
    comment: Comment = "",
    seen: Seen = "",
    sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not show it and ask first.")] = False,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Approve what you have looked at: its --hash says so, or it is shown here first."""
    from hub.commands.approvals import decide_approval  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        decide_approval(url, api_key, name, "approve", comment=comment, seen=seen, sure=sure, as_json=as_json)
    )


@approvals.command("decline")
def approvals_decline(
    name: Approval,
    comment: Comment = "",
    seen: Seen = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Decline it; one who declines is enough."""
    from hub.commands.approvals import decide_approval  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        decide_approval(url, api_key, name, "decline", comment=comment, seen=seen, sure=True, as_json=as_json)
    )


def register(app: typer.Typer) -> None:
    app.add_typer(approvals, name="approvals")
