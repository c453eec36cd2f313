"""Parses the command line of `notecast`: its commands, options and help.

The commands themselves are in `cli_commands` and `cli_chat`, which are only imported when they are
called: gRPC takes a third of a second to load, and `--help` does not need it.
"""

import os
from importlib.metadata import version
from typing import Annotated

import typer

from notecast_client import cli_help, cli_options
from notecast_client.cursors import Position
from notecast_environment.variables import unknown_variables

app = typer.Typer(
    help=cli_help.ABOUT,
    epilog=cli_help.EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text, like other shell commands
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Room = Annotated[
    str, typer.Argument(metavar="ROOM", parser=cli_options.name, help="The room's name.")
]
Name = Annotated[
    str,
    typer.Option(
        "--name",
        "-n",
        default_factory=cli_options.login_name,
        show_default="your login name",
        metavar="NAME",
        parser=cli_options.name,
        help="The author of the notes.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - called by typer
    if wanted:
        typer.echo(f"notecast {version('notecast')}")
        raise typer.Exit


@app.callback()
def _server(
    context: typer.Context,
    *,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            "-s",
            metavar="HOST:PORT",
            envvar="NOTECAST_SERVER",
            parser=cli_options.server_address,
            help="The server's address.",
        ),
    ] = "localhost:8080",
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.1, max=3600, help="How long to wait for answers."
        ),
    ] = 10.0,
    proxy: Annotated[
        bool,
        typer.Option(
            "--proxy",
            help="Use the HTTP proxy of https_proxy or http_proxy; never for this machine.",
        ),
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    for fault in unknown_variables(os.environ):
        typer.echo(f"notecast: warning: {fault}", err=True)
    context.obj = cli_options.Server(server, timeout, proxy)


@app.command(help=cli_help.CHAT)
def chat(context: typer.Context, room: Room, name: Name) -> None:
    """Runs cli_chat.chat; exits with its code."""
    from notecast_client import cli_chat, terminal  # noqa: PLC0415 - see above

    options = cli_options.ChatOptions(room, name)
    raise typer.Exit(terminal.run(cli_chat.chat(context.obj, options)))


@app.command(help=cli_help.SEND)
def send(
    context: typer.Context,
    *,
    room: Room,
    name: Name,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            parser=cli_options.words,
            help="The text; - or nothing: read standard input.",
        ),
    ] = None,
    note_id: Annotated[
        str | None,
        typer.Option(
            "--note-id",
            metavar="ID",
            parser=cli_options.words,
            help="The note's id; default: a random one.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="KEY=VALUE", help="An annotation; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Runs cli_commands.send; exits with its code."""
    from notecast_client import cli_commands, terminal  # noqa: PLC0415 - see above

    options = cli_options.SendOptions(
        room=room,
        name=name,
        text=None if text == "-" else text,
        note_id=note_id,
        labels=cli_options.labels(label or ()),
        json=json,
    )
    raise typer.Exit(terminal.run(cli_commands.send(context.obj, options)))


@app.command(help=cli_help.TAIL)
def tail(
    context: typer.Context,
    *,
    rooms: Annotated[
        list[str],
        typer.Argument(metavar="ROOM", parser=cli_options.name, help="One or more rooms."),
    ],
    last: Annotated[
        int | None,
        typer.Option("--last", metavar="N", min=1, max=10_000, help="Begin with the last N notes."),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest note.")
    ] = False,
    after: Annotated[
        Position | None,
        typer.Option(
            "--after",
            metavar="EPOCH:SEQUENCE",
            parser=cli_options.position,
            help="Begin after this position (one room only).",
        ),
    ] = None,
    json: Json = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow/--no-follow", help="Wait for new notes, or exit after the existing ones."
        ),
    ] = True,
) -> None:
    """Runs cli_commands.tail; exits with its code."""
    from notecast_client import cli_commands, terminal  # noqa: PLC0415 - see above

    if (last is not None) + from_start + (after is not None) > 1:
        raise typer.BadParameter("give one of --last, --from-start and --after")
    if after is not None and len(set(rooms)) > 1:
        raise typer.BadParameter("--after is a position in one room; give one room")
    options = cli_options.TailOptions(
        rooms=tuple(dict.fromkeys(rooms)),
        last=last,
        from_start=from_start,
        after=after,
        json=json,
        follow=follow,
    )
    raise typer.Exit(terminal.run(cli_commands.tail(context.obj, options)))


@app.command(help=cli_help.HISTORY)
def history(
    context: typer.Context,
    *,
    room: Room,
    last: Annotated[
        int, typer.Option("--last", metavar="N", min=1, help="The number of newest notes.")
    ] = 50,
    everything: Annotated[
        bool, typer.Option("--all", help="All notes that retention has kept.")
    ] = False,
    before: Annotated[
        Position | None,
        typer.Option(
            "--before",
            metavar="EPOCH:SEQUENCE",
            parser=cli_options.position,
            help="Only notes before this position.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Runs cli_commands.history; exits with its code."""
    from notecast_client import cli_commands, terminal  # noqa: PLC0415 - see above

    options = cli_options.HistoryOptions(room, None if everything else last, before, json)
    raise typer.Exit(terminal.run(cli_commands.history(context.obj, options)))


@app.command(help=cli_help.HEALTH)
def health(
    context: typer.Context,
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE",
            parser=cli_options.words,
            help="liveness, readiness, or a service's name.",
        ),
    ] = "readiness",
) -> None:
    """Runs cli_commands.health; exits with its code."""
    from notecast_client import cli_commands, terminal  # noqa: PLC0415 - see above

    raise typer.Exit(terminal.run(cli_commands.health(context.obj, service)))
