"""The `penstock` command.

Every setting is a flag by its dotted name (`--gateway.http.port 8081`), beside the file and the
environment. A mistake is one line and exit code 2; nobody reads a traceback for a wrong setting.
"""

import asyncio
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from server.config import NodeConfig
from server.config_load import FILE_NAME, load, sample, settings
from server.errors import ConfigError, NodeError

EXIT_MISTAKE = 2

app = typer.Typer(
    help="Penstock: live video in, GPU work in the middle, live video out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
config_app = typer.Typer(help="Show the settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")

FREE_FLAGS = {"allow_extra_args": True, "ignore_unknown_options": True}
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help=f"Settings file; ./{FILE_NAME} is read if it is there."),
]


@app.command(context_settings=FREE_FLAGS)
def up(context: typer.Context, config: ConfigFile = None) -> None:
    """Run everything on this machine: gateway, orchestrator, runners, page."""
    _run(context, config, with_gateway=True, with_orchestrator=True)


@app.command(context_settings=FREE_FLAGS)
def gateway(context: typer.Context, config: ConfigFile = None) -> None:
    """Take streams in and out; the work is done by gateway.orchestrators."""
    _run(context, config, with_gateway=True, with_orchestrator=False)


@app.command(context_settings=FREE_FLAGS)
def orchestrator(context: typer.Context, config: ConfigFile = None) -> None:
    """Take live jobs from gateways and run them on this machine's runners."""
    _run(context, config, with_gateway=False, with_orchestrator=True)


@app.command(context_settings=FREE_FLAGS)
def runner(
    context: typer.Context,
    pipeline: Annotated[
        str, typer.Option(help="Pipeline to serve; several with commas, or effects for all.")
    ] = "effects",
    config: ConfigFile = None,
) -> None:
    """Run one runner by itself, with the HTTP contract of an ai-runner."""
    section = _load(context, config).runner
    # The runner replaces this process: it never shares one with the node's modules.
    os.execv(  # noqa: S606 - our own interpreter and module
        sys.executable,
        [
            *(sys.executable, "-m", "runners", "--pipeline", pipeline),
            *("--host", section.host, "--port", str(section.port)),
        ],
    )


@config_app.command("show", context_settings=FREE_FLAGS)
def config_show(context: typer.Context, config: ConfigFile = None) -> None:
    """Every setting, its value here, and what it means."""
    table = Table(box=None, pad_edge=False)
    for title in ("setting", "value", "meaning"):
        table.add_column(title)
    for setting in settings(_load(context, config)):
        value = ", ".join(setting.value) if isinstance(setting.value, tuple) else setting.value
        shown = "" if value is None else str(value)
        table.add_row(setting.key, shown, setting.field.description or "")
    Console().print(table)


@config_app.command("sample")
def config_sample() -> None:
    """A settings file with every setting at its default, to edit."""
    sys.stdout.write(sample(NodeConfig()))


@app.command("version")
def show_version() -> None:
    """The version."""
    sys.stdout.write(f"penstock {version('penstock')}\n")


def main() -> None:
    """Runs the command line; a mistake is told in one line."""
    try:
        app(standalone_mode=True)
    except NodeError as error:
        sys.stderr.write(f"penstock: {error.message}; {error.advice}\n")
        sys.exit(EXIT_MISTAKE)


def _run(
    context: typer.Context, file: Path | None, *, with_gateway: bool, with_orchestrator: bool
) -> None:
    config = _load(context, file)
    # Imported late: `penstock config show` needs none of it, and it is most of the start-up time.
    from server import node
    from server.obs import log

    log.configure(config.log)
    main_task = node.run(
        config,
        with_gateway=with_gateway,
        with_orchestrator=with_orchestrator,
        on_ready=_say_where,
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as loop:
        try:
            loop.run(main_task)
        except* NodeError as group:
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def _say_where(node: "object") -> None:
    from server.node import Node

    assert isinstance(node, Node)
    out = Console()
    if node.gateway is not None:
        out.print(f"\n  Open [bold]{node.gateway.url}[/bold]\n")
        if node.gateway.rtmp_url is not None:
            out.print("  OBS: Settings > Stream > Service: Custom")
            out.print(f"       Server:     {node.gateway.rtmp_url}")
            out.print("       Stream key: any name, for example [bold]mystream[/bold]")
            out.print(f"       Watch it:   {node.gateway.url}/?watch=mystream\n")
    elif node.orchestrator is not None:
        out.print(f"\n  Orchestrator at [bold]{node.orchestrator.url}[/bold]\n")
    out.print("  Ctrl-C stops everything.\n", style="dim")


def _load(context: typer.Context, file: Path | None) -> NodeConfig:
    if file is None and Path(FILE_NAME).is_file():
        file = Path(FILE_NAME)
    return load(file, os.environ, _flags(context.args))


def _flags(arguments: list[str]) -> dict[str, str]:
    """`--a.b c` and `--a.b=c`, as they come."""
    flags: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise ConfigError(f"unexpected argument {argument!r}")
        name, has_value, value = argument[2:].partition("=")
        if not has_value:
            value = next(rest, "")
            if not value or value.startswith("--"):
                raise ConfigError(f"--{name} needs a value")
        flags[name] = value
    return flags
