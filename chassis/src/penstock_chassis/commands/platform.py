"""`penstock up`, `down` and `status`."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated

import typer

from penstock_chassis.commands import DataDirOption, JsonOption, emit, fail, say

STOP_SECONDS = 60.0
POLL_SECONDS = 0.1
READY_LINE = "ready"

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="0 or absent: any free port.")]


def up(
    ctx: typer.Context,
    data_dir: DataDirOption = None,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="A directory that is removed at the end.")
    ] = False,
    gateway_port: Port = None,
    serving_port: Port = None,
    nats_port: Port = None,
    objects_port: Port = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    log_json: Annotated[bool | None, typer.Option("--log-json/--log-console")] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the settings in force and end.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Run the whole platform until Ctrl-C; started again on the same directory, it resumes."""
    from penstock_chassis.adapters.otlp import exported_traces  # noqa: PLC0415
    from penstock_chassis.commands.configuration import of_platform, say_settings  # noqa: PLC0415
    from penstock_chassis.embedded import DataDir, EmbeddedError  # noqa: PLC0415
    from penstock_chassis.errors import ChassisError  # noqa: PLC0415
    from penstock_chassis.logs import configure_logs  # noqa: PLC0415
    from penstock_chassis.platform import UpOptions, running_platform  # noqa: PLC0415
    from penstock_chassis.process import run_loop, stop_on_signals  # noqa: PLC0415
    from penstock_chassis.settings import PlatformSettings  # noqa: PLC0415

    if ephemeral and data_dir is not None:
        fail("--ephemeral and --data-dir exclude each other", "leave one of them out", 2)
    if show_config:
        sources = {name: _source(ctx, name) for name in ctx.params}
        say_settings(of_platform(data_dir, ctx.params, sources), json_output=json_output)
        return
    configure_logs(log_level, log_json)
    options = UpOptions(
        gateway_port=gateway_port or None,
        serving_port=serving_port or None,
        nats_port=nats_port or None,
        objects_port=objects_port or None,
        progress=lambda text: say(f"  {text}"),
    )

    async def main(directory: DataDir) -> None:
        started = time.monotonic()
        stop = stop_on_signals()
        async with running_platform(directory, options) as platform:
            seconds = time.monotonic() - started
            settings = platform.settings
            if json_output:
                emit(
                    {
                        "ready_seconds": round(seconds, 3),
                        "data_dir": str(directory.path),
                        "gateway_url": settings.gateway_url,
                        "serving_url": settings.serving_url,
                        "nats_url": settings.nats_url,
                    }
                )
            say(f"penstock is {READY_LINE} after {seconds:.1f} s; state is in {directory.path}")
            say(f"  API and webhooks  {settings.gateway_url}")
            say(f"  endpoints         {settings.serving_url}")
            say(f"  events (NATS)     {settings.nats_url}")
            say("  look around:      penstock status · penstock event tail · penstock job ls")
            say("  Ctrl-C stops it and loses nothing")
            await stop.wait()
            say("draining …")

    try:
        with ExitStack() as stack:
            if ephemeral:
                directory = stack.enter_context(DataDir.ephemeral())
            else:
                directory = DataDir(data_dir)
                for name in stack.enter_context(directory.locked()):
                    say(f"  ended {name}, left over from a run that was killed")
            with exported_traces(PlatformSettings().otel_endpoint, "penstock"):
                run_loop(main(directory))
    except EmbeddedError as error:
        fail(error.args[0], error.hint)
    except ChassisError as error:
        fail(str(error), "penstock doctor")
    except TimeoutError as error:
        fail(str(error), "run `penstock doctor`")


def _source(ctx: typer.Context, parameter: str) -> str:
    """Where a parameter's value comes from, in the words of `--show-config`."""
    found = ctx.get_parameter_source(parameter)
    known = {"COMMANDLINE": "option", "ENVIRONMENT": "environment"}
    return known.get(found.name, "default") if found is not None else "default"


def down(data_dir: DataDirOption = None) -> None:
    """Stop the platform of a data directory and wait until it has drained."""
    from penstock_chassis.embedded import DataDir  # noqa: PLC0415

    directory = DataDir(data_dir)
    holder = directory.holder()
    if holder is None:
        say(f"no platform runs in {directory.path}")
        return
    os.kill(holder.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while directory.holder() is not None:
        if time.monotonic() > deadline:
            fail(
                f"pid {holder.pid} still runs after {STOP_SECONDS:.0f} s",
                f"look into {directory.logs}; `kill -9 {holder.pid}` loses nothing either",
            )
        time.sleep(POLL_SECONDS)
    say("stopped")


def status(data_dir: DataDirOption = None, json_output: JsonOption = False) -> None:
    """Say what runs, where, and whether it is well."""
    from penstock_chassis.commands.doctor import service_states  # noqa: PLC0415
    from penstock_chassis.embedded import DataDir  # noqa: PLC0415

    directory = DataDir(data_dir)
    holder, endpoints = directory.holder(), directory.read_endpoints()
    if holder is None or endpoints is None:
        fail(
            f"no platform is ready in {directory.path}",
            "start one with `penstock up`, or name its directory with --data-dir",
            3,
        )
    states = asyncio.run(service_states(endpoints))
    if json_output:
        emit(
            {
                "pid": holder.pid,
                "since": holder.since.isoformat(),
                "data_dir": str(directory.path),
                "gateway_url": endpoints.gateway_url,
                "serving_url": endpoints.extra.get("serving_url"),
                "nats_url": endpoints.nats_url,
                "checks": states,
            }
        )
        return
    typer.echo(f"pid {holder.pid}, since {holder.since:%Y-%m-%d %H:%M:%S %Z}, in {directory.path}")
    typer.echo(f"API {endpoints.gateway_url}   events {endpoints.nats_url}")
    for service, problems in _by_service(states).items():
        typer.echo(f"{service:<24} {'; '.join(problems) or 'ok'}")
    if any(said != "ok" for said in states.values()):
        raise typer.Exit(1)


def _by_service(states: Mapping[str, str]) -> dict[str, list[str]]:
    """What is wrong with each service, from checks by `<service>.<check>`."""
    found: dict[str, list[str]] = {}
    for name, said in states.items():
        service, _, check = name.partition(".")
        problems = found.setdefault(service, [])
        if said != "ok":
            problems.append(f"{check or service}: {said}")
    return found
