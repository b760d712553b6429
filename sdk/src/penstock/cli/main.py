"""The command line's entry: this package's own commands, and those of installed plug-ins.

Other packages add commands by the entry-point group `penstock.commands`: a function that takes
the typer application. Nothing heavy is imported before a command runs.
"""

from importlib.metadata import entry_points

import typer

GROUP = "penstock.commands"


def make_app() -> typer.Typer:
    """The application with all commands."""
    app = typer.Typer(
        name="penstock",
        help="An event-driven machine-learning platform.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        point.load()(app)
    return app


def main() -> None:
    """Run the command line."""
    make_app()()
