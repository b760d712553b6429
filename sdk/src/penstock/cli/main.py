"""The command line's entry: this package's own commands, and those of installed plug-ins.

Other packages add commands by the entry-point group `penstock.commands`: a function that takes
the typer application. Nothing heavy is imported before a command runs.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Annotated

import typer

from penstock.cli import (
    access,
    apply,
    dataset,
    deadletter,
    endpoint,
    event,
    experiment,
    job,
    model,
    projection,
    secret,
    source,
    subscription,
    trigger,
)
from penstock.cli.session import EXIT_FAILED, EXIT_INTERRUPTED, NamespaceOption, exit_code
from penstock.cli.views import VIEWS, add_views

GROUP = "penstock.commands"
UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar="PENSTOCK_URL", help="The API. [default: the platform here]"),
]

_WITH_MORE_VERBS = {
    "dataset": dataset.register,
    "experiment": experiment.register,
    "job": job.register,
    "model": model.register,
    "endpoint": endpoint.register,
    "member": access.register_member,
    "token": access.register_token,
    "credential": access.register_credential,
    "source": source.register,
    "secret": secret.register,
    "trigger": trigger.register,
    "subscription": subscription.register,
}


def make_app() -> typer.Typer:
    """The application with all commands."""
    app = typer.Typer(
        name="penstock",
        epilog="Tab completion: penstock --install-completion.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everywhere)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        point.load()(app)
    apply.register(app)
    access.register(app)
    _add(app, "event", "The log: follow, read, draw, publish.", event.register)
    for noun, view in VIEWS.items():
        group = _add(app, noun, view.help, _WITH_MORE_VERBS.get(noun, lambda _: None))
        add_views(group, noun)
    _add(app, "deadletter", "Messages that no try could handle.", deadletter.register)
    _add(app, "projection", "What is shown, made from the log.", projection.register)
    return app


def _everywhere(namespace: NamespaceOption = None, url: UrlOption = None) -> None:
    """An event-driven machine-learning platform."""
    for name, given in (("PENSTOCK_NAMESPACE", namespace), ("PENSTOCK_URL", url)):
        if given is not None:
            os.environ[name] = given  # where each command's own option looks for its default


def _add(
    app: typer.Typer, name: str, help: str, register: Callable[[typer.Typer], None]
) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=help)
    register(group)
    app.add_typer(group, name=name)
    return group


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; ends by `SystemExit` with one of the codes of `session`."""
    try:
        make_app()(args=None if argv is None else list(argv))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (`head`) has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        sys.exit(code)
