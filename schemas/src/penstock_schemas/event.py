"""`Event`, the base of every contract, and the register of all contracts.

An event class states in class variables what it is (`type`, `version`), which of its fields is
the id of the aggregate that it belongs to (`key`) and who may append it (`owner`). Defining the
class registers it. Readers see only the newest version: `decode` lifts an old payload through
the upcasters first. Reading is tolerant (unknown fields are ignored, so that an old reader
survives an additive change), the published JSON Schema is closed.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from penstock_schemas.errors import InvalidEvent, UnknownType
from penstock_schemas.subjects import Aggregate, Subject

ANYONE = "anyone"
ADMIN = "admin"
"""The role of who decides for others, or over what all of a namespace have."""
FAULTS_LISTED_MAX = 100
"""Fields at fault that an `InvalidEvent` lists; a payload can have a million of them."""
FAULTS_IN_MESSAGE_MAX = 10
FAULT_LENGTH_MAX = 200
"""Characters of one field's path, and of its problem: map keys in a path are the sender's."""

E = TypeVar("E", bound="Event")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_newest: dict[str, type["Event"]] = {}
_upcasters: dict[tuple[str, int], Upcaster] = {}


class Value(BaseModel):
    """A part of an event: frozen, tolerant of unknown fields when read."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)


class Event(Value):
    """One fact or wish. Subclasses are the message contracts."""

    type: ClassVar[str]
    """`<noun>.<verb>`: a past participle for a fact, ending in `requested` for a wish."""
    version: ClassVar[int] = 1
    key: ClassVar[str]
    """The field that holds the id of the aggregate."""
    owner: ClassVar[str]
    """The service that appends it, or `ANYONE` for wishes and outside facts."""
    shared_with: ClassVar[tuple[str, ...]] = ()
    """Further services that append it, each where the owner has nothing to say."""
    sender_role: ClassVar[str] = "editor"
    """The role that it takes to send it, of what anyone may append (`penstock_schemas.roles`)."""
    declarative: ClassVar[bool] = False
    """Whether it says how the thing shall be, so that saying it again changes the thing: what
    `penstock apply` writes. The noun is then a kind (`penstock_schemas.kinds`)."""
    withdraws: ClassVar[bool] = False
    """Whether it says that the thing shall be no more: what was declared of it ends."""
    example: ClassVar[dict[str, Any]]
    """A complete payload, shown in the catalogue and read by the tests."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "type" in cls.__dict__:
            known = _newest.get(cls.type)
            if known is not None and known.__qualname__ != cls.__qualname__:
                raise TypeError(f"two contracts claim the type {cls.type!r}: {known}, {cls}")
            _newest[cls.type] = cls

    @classmethod
    def noun(cls) -> str:
        """The first token of the type: what kind of thing the event is about."""
        return cls.type.split(".", 1)[0]

    @classmethod
    def appenders(cls) -> tuple[str, ...]:
        """Who may append it, the owner first; `(ANYONE,)` for wishes and outside facts."""
        return (cls.owner, *cls.shared_with)

    @property
    def id(self) -> str:
        """The id of the aggregate that the event belongs to."""
        return str(getattr(self, self.key))

    def aggregate(self, namespace: str) -> Aggregate:
        """The aggregate that the event belongs to in `namespace`."""
        return Aggregate(namespace, self.noun(), self.id)

    def subject(self, namespace: str) -> Subject:
        """The subject on which the event is published in `namespace`."""
        noun, verb = self.type.split(".", 1)
        return Subject(namespace, noun, verb, self.id)

    def payload(self) -> bytes:
        """The plain JSON that travels on the bus."""
        return self.model_dump_json().encode()


def upcaster(type: str, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register the function that lifts a payload of `type` from one version to the next."""

    def register(function: Upcaster) -> Upcaster:
        if (type, from_version) in _upcasters:
            raise TypeError(f"two upcasters lift {type} from version {from_version}")
        _upcasters[type, from_version] = function
        return function

    return register


def event_types() -> Mapping[str, type[Event]]:
    """Every contract by its type, newest version each."""
    return dict(sorted(_newest.items()))


def event_class(type: str) -> type[Event]:
    """The newest contract of `type`; raises `UnknownType`."""
    try:
        return _newest[type]
    except KeyError:
        raise UnknownType(
            f"no event type {type[:120]!r}; the catalogue lists the known types"
        ) from None


def decode(type: str, version: int, payload: bytes | str) -> Event:
    """Read a payload of any released version as the newest contract.

    Raises `UnknownType` for a type or version that has no contract (a version newer than this
    reader included) and `InvalidEvent` for a payload that does not fit, with its fields.
    """
    cls = event_class(type)
    if not 1 <= version <= cls.version:
        raise UnknownType(
            f"{type} has no version {version} here; known are 1 to {cls.version}: "
            "upgrade this reader, or publish an older version"
        )
    try:
        if version == cls.version:
            return cls.model_validate_json(payload)
        return cls.model_validate(_lift(cls, version, payload))
    except ValidationError as error:
        raise _invalid(type, error) from None


def _lift(cls: type[Event], version: int, payload: bytes | str) -> dict[str, Any]:
    """The payload as the newest version would have said it; raises `InvalidEvent`."""
    try:
        data: Any = json.loads(payload)
    # ValueError: not JSON, not UTF-8, or an integer too long to read; RecursionError: too deep.
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"{cls.type} is not readable: {str(error)[:FAULT_LENGTH_MAX]}") from None
    if not isinstance(data, dict):
        raise InvalidEvent(f"{cls.type}: the payload is not a JSON object")
    for step in range(version, cls.version):
        try:
            data = _upcasters[cls.type, step](data)
        except KeyError as error:
            field = str(error.args[0])[:FAULT_LENGTH_MAX]
            raise InvalidEvent(
                f"{cls.type} version {step} is not valid: {field}: Field required",
                ((field, "Field required"),),
            ) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidEvent(
                f"{cls.type} version {step} cannot be lifted to {step + 1}: "
                f"{str(error)[:FAULT_LENGTH_MAX]}"
            ) from None
    return dict(data)


def _invalid(type: str, error: ValidationError) -> InvalidEvent:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    fields = tuple(
        (
            ".".join(str(part) for part in detail["loc"])[:FAULT_LENGTH_MAX] or "(payload)",
            detail["msg"][:FAULT_LENGTH_MAX],
        )
        for detail in details[:FAULTS_LISTED_MAX]
    )
    listed = "; ".join(f"{path}: {problem}" for path, problem in fields[:FAULTS_IN_MESSAGE_MAX])
    more = len(details) - FAULTS_IN_MESSAGE_MAX
    return InvalidEvent(
        f"{type} is not valid: {listed}" + (f"; and {more} more" if more > 0 else ""), fields
    )


def check_upcasters() -> None:
    """Raise `TypeError` where a version has no way up to the newest."""
    for cls in _newest.values():
        for step in range(1, cls.version):
            if (cls.type, step) not in _upcasters:
                raise TypeError(f"{cls.type} has no upcaster from version {step}")
