"""`penstock service run` and `ls`."""

import asyncio
from typing import Annotated

import typer

from penstock_chassis.commands import JsonOption, emit, fail, say


def run(
    name: Annotated[str, typer.Argument(help="The service, e.g. scheduler.")],
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the settings in force and end.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Run one service; where the bus and the store are comes from PENSTOCK_* variables."""
    from penstock_chassis.adapters.otlp import exported_traces  # noqa: PLC0415
    from penstock_chassis.commands.configuration import of_service, say_settings  # noqa: PLC0415
    from penstock_chassis.commands.servers import STORE, SYNCED, ask_servers  # noqa: PLC0415
    from penstock_chassis.discovery import load_service  # noqa: PLC0415
    from penstock_chassis.errors import ChassisError  # noqa: PLC0415
    from penstock_chassis.logs import configure_logs  # noqa: PLC0415
    from penstock_chassis.platform import make_object_store, settings_for  # noqa: PLC0415
    from penstock_chassis.process import run_loop, run_service  # noqa: PLC0415
    from penstock_chassis.settings import PlatformSettings  # noqa: PLC0415

    try:
        spec = load_service(name)
    except ChassisError as error:
        fail(str(error), "penstock service ls", 3)
    if show_config:
        say_settings(of_service(spec), json_output=json_output)
        return
    platform = PlatformSettings()
    settings = settings_for(spec, platform, {})
    settings.work_dir.expanduser().mkdir(parents=True, exist_ok=True)
    for answer in asyncio.run(ask_servers(platform)):
        hint = f"{answer.hint}; `penstock doctor --servers` looks again"
        if answer.ok or answer.what == SYNCED:
            continue
        if answer.what == STORE:
            fail(answer.said, hint)
        say(f"error: {answer.said}; waiting for it")  # as a service does that loses it later
        say(f"hint: {hint}")
    configure_logs(platform.log_level, platform.log_json)

    async def main() -> None:
        await run_service(spec, settings, platform, await make_object_store(platform))

    try:
        with exported_traces(platform.otel_endpoint, f"penstock-{name}"):
            run_loop(main())
    except ChassisError as error:
        fail(str(error), "penstock doctor --servers")


def ls(json_output: JsonOption = False) -> None:
    """List the installed services."""
    from penstock_chassis.discovery import installed_names, load_service  # noqa: PLC0415

    rows = [{"service": name, "summary": load_service(name).summary} for name in installed_names()]
    if json_output:
        emit(rows)
        return
    for row in rows:
        typer.echo(f"{row['service']:<12} {row['summary']}")
