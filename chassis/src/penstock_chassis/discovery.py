"""Which services are installed: the entry points `penstock.services`."""

from importlib.metadata import entry_points
from typing import Any

from penstock_chassis.errors import ChassisError
from penstock_chassis.service import ServiceSpec

GROUP = "penstock.services"


def installed_names() -> list[str]:
    """The names of the installed services, sorted."""
    return sorted(point.name for point in entry_points(group=GROUP))


def load_service(name: str) -> ServiceSpec[Any]:
    """The service of that name; raises `ChassisError` with what is there."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            spec: ServiceSpec[Any] = point.load()
            return spec
    raise ChassisError(
        f"no service {name!r} is installed (there are: {', '.join(installed_names()) or 'none'}); "
        f"hint: pip install penstock-{name}"
    )
