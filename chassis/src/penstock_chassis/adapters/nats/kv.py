"""Key-value buckets. No limit markers: they keep an expired lease from being taken again."""

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import (
    APIError,
    BucketNotFoundError,
    KeyDeletedError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoKeysError,
)
from nats.js.kv import KeyValue as NatsBucket

from penstock_chassis.adapters.nats.log import WRONG_LAST_SEQUENCE
from penstock_chassis.errors import Conflict, Unavailable
from penstock_chassis.ports import Entry


class NatsKeyValue:
    """`KeyValue` on one bucket."""

    def __init__(self, bucket: NatsBucket) -> None:
        self._bucket = bucket

    async def get(self, key: str) -> Entry | None:
        """See `KeyValue.get`."""
        try:
            entry = await self._bucket.get(key)
        except (KeyNotFoundError, KeyDeletedError):
            return None
        except (NatsError, OSError) as error:
            raise Unavailable(repr(error)) from error
        assert entry.revision is not None
        return Entry(key, entry.value or b"", entry.revision)

    async def create(self, key: str, value: bytes) -> int:
        """See `KeyValue.create`."""
        try:
            return await self._bucket.create(key, value)
        except KeyWrongLastSequenceError as error:
            raise Conflict(f"{key} is there") from error
        except (NatsError, OSError) as error:
            raise Unavailable(repr(error)) from error

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """See `KeyValue.update`."""
        try:
            return await self._bucket.update(key, value, last=revision)
        except KeyWrongLastSequenceError as error:
            raise Conflict(f"{key} is no longer at revision {revision}") from error
        except (NatsError, OSError) as error:
            raise Unavailable(repr(error)) from error

    async def put(self, key: str, value: bytes) -> int:
        """See `KeyValue.put`."""
        try:
            return await self._bucket.put(key, value)
        except (NatsError, OSError) as error:
            raise Unavailable(repr(error)) from error

    async def delete(self, key: str, revision: int) -> None:
        """See `KeyValue.delete`."""
        try:
            await self._bucket.delete(key, last=revision)
        except KeyWrongLastSequenceError as error:
            raise Conflict(f"{key} is no longer at revision {revision}") from error
        except APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                raise Conflict(f"{key} is no longer at revision {revision}") from error
            raise Unavailable(repr(error)) from error
        except (NatsError, OSError) as error:
            raise Unavailable(repr(error)) from error

    async def keys(self) -> list[str]:
        """See `KeyValue.keys`."""
        try:
            return sorted(await self._bucket.keys())
        except NoKeysError:
            return []
        except (NatsError, OSError) as error:
            raise Unavailable(repr(error)) from error


class NatsKeyValues:
    """`KeyValues`: each bucket is a stream of its own."""

    def __init__(self, client: Client, replicas: int = 1) -> None:
        self._client = client
        self._replicas = replicas

    async def bucket(self, name: str, *, ttl_seconds: float = 0.0) -> NatsKeyValue:
        """See `KeyValues.bucket`."""
        try:
            return NatsKeyValue(await self._bucket(name, ttl_seconds))
        except (NatsError, OSError) as error:
            raise Unavailable(repr(error)) from error

    async def _bucket(self, name: str, ttl_seconds: float) -> NatsBucket:
        jetstream = self._client.jetstream()
        try:
            return await jetstream.key_value(name)
        except BucketNotFoundError:
            return await jetstream.create_key_value(
                KeyValueConfig(
                    bucket=name,
                    history=1,
                    ttl=ttl_seconds or None,
                    storage=StorageType.FILE,
                    replicas=self._replicas,
                )
            )
