"""Asks the S3 server for what readiness means: one small object written."""

from __future__ import annotations

import io
from typing import Any

from penstock_chassis.embedded.weed_command import Credentials

PROBE_BUCKET = "penstock-probe"
PROBE_KEY = "ready"
TIMEOUT_SECONDS = 2.0


class PutProbe:
    """One client with short timeouts and no retries; made in the first try, kept for the next."""

    def __init__(self, endpoint: str, credentials: Credentials) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._client: Any = None

    def succeeds(self) -> bool:
        """Whether a PUT succeeds now. Blocks, for `TIMEOUT_SECONDS` a request at most."""
        # Imported here: half a second that the server's own start hides.
        from minio.error import MinioException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        client = self._client = self._client or self._connect()
        try:
            if not client.bucket_exists(PROBE_BUCKET):
                client.make_bucket(PROBE_BUCKET)
            client.put_object(PROBE_BUCKET, PROBE_KEY, io.BytesIO(b"ready"), length=5)
        except (MinioException, HTTPError, OSError):
            return False
        return True

    def _connect(self) -> Any:
        import urllib3  # noqa: PLC0415
        from minio import Minio  # noqa: PLC0415

        return Minio(
            self._endpoint,
            access_key=self._credentials.access_key,
            secret_key=self._credentials.secret_key,
            secure=False,
            http_client=urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=False),
        )
