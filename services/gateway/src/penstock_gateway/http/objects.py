"""Objects over HTTP: uploads become durable, content-addressed objects; downloads are verified."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from penstock_chassis.errors import DigestMismatch, NotFound
from penstock_chassis.folders import FILES_MAX, FolderEntry, check_path, render_manifest
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import BYTES, OBJECT, Answer, describes
from penstock_gateway.http.parameters import SEQUENCE_MAX, json_object, namespace_of, number
from penstock_gateway.http.problems import Problem
from penstock_schemas import ObjectRef

FOLDER_BODY_BYTES_MAX = 64 * 2**20
CHECKS_AT_ONCE_MAX = 4
"""Files of a folder that are verified side by side."""
_KEY = re.compile(r"s3://[^/]+/([^/]+)/(blake3|sha256)/([0-9a-f]{2})/([0-9a-f]{64})")


@describes(
    {201: OBJECT},
    body=Answer("The bytes", {"type": "string", "format": "binary"}, BYTES),
    problems=(400, 413),
)
async def put_object(request: Request) -> Response:
    """Store the body, whatever its type."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    bytes_max = context.settings.object_size_bytes_max
    too_large = Problem(
        413, f"the object is larger than {bytes_max} bytes", hint="split it into several files"
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > bytes_max:
        raise too_large
    async with _scratch(context) as folder:
        path = folder / "object"
        size = 0
        with path.open("wb") as file:  # small writes to the page cache; the rest is in threads
            async for chunk in request.stream():
                size += len(chunk)
                if size > bytes_max:
                    raise too_large
                file.write(chunk)
        ref = await context.ports.objects.put_file(namespace, path)
    return json_response(ref.model_dump(mode="json"), 201)


@describes(
    {201: OBJECT},
    body=Answer("The files of the folder", "Folder"),
    problems=(400, 404, 413, 415, 422),
)
async def put_folder(request: Request) -> Response:
    """Make a folder of objects that are there."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    entries = _entries(await json_object(request, FOLDER_BODY_BYTES_MAX), namespace)
    refs = {ref.digest: (number, ref) for number, (_, ref) in enumerate(entries)}
    slots = asyncio.Semaphore(CHECKS_AT_ONCE_MAX)
    async with _scratch(context) as folder:

        async def check(number: int, ref: ObjectRef) -> None:
            target = folder / str(number)
            async with slots:
                await _fetch(context, ref, target, f"files.{number}.object")
            if target.stat().st_size != ref.size_bytes:
                raise Problem(
                    422,
                    f"the object has {target.stat().st_size} bytes, not {ref.size_bytes}",
                    field=f"files.{number}.object.size_bytes",
                )
            target.unlink()

        await asyncio.gather(*(check(number, ref) for number, ref in refs.values()))
    manifest = render_manifest(
        FolderEntry(path, ref.size_bytes, ref.digest) for path, ref in entries
    )
    stored = await context.ports.objects.put(namespace, manifest)
    total = sum(ref.size_bytes for _, ref in entries)
    ref = stored.model_copy(update={"kind": "folder", "size_bytes": total})
    return json_response(ref.model_dump(mode="json"), 201)


@describes(
    Answer("The bytes", {"type": "string", "format": "binary"}, BYTES, headers=("etag",)),
    query=("uri", "digest", "size_bytes"),
    problems=(400, 404, 422),
    all_namespaces=False,
)
async def get_object(request: Request) -> Response:
    """The bytes of an object of the namespace (of a folder: its manifest), verified."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    query = request.query_params
    size = number(request, "size_bytes", 0, 0, SEQUENCE_MAX)
    ref = _ref(
        {"uri": query.get("uri"), "digest": query.get("digest"), "size_bytes": size},
        namespace,
        "",
    )
    folder = await asyncio.to_thread(_make_scratch, context)
    try:
        await _fetch(context, ref, folder / "object", "uri")
    except BaseException:
        await _remove(folder)
        raise
    return FileResponse(
        folder / "object",
        media_type="application/octet-stream",
        headers={"etag": f'"{ref.digest}"', "x-content-type-options": "nosniff"},
        background=BackgroundTask(_remove, folder),
    )


async def _fetch(context: Context, ref: ObjectRef, target: Path, field: str) -> None:
    try:
        await context.ports.objects.fetch(ref, target)
    except NotFound:
        hint = "upload it first: POST /v1/<namespace>/object"
        raise Problem(404, f"there is no object {ref.uri}", field=field, hint=hint) from None
    except DigestMismatch:
        raise Problem(422, f"{ref.uri} is not what its digest says", field=field) from None


def _entries(body: Any, namespace: str) -> list[tuple[str, ObjectRef]]:
    """The files of a folder: checked paths, none inside another, and references."""
    files = body.get("files")
    if not isinstance(files, list) or not 1 <= len(files) <= FILES_MAX:
        raise Problem(422, f"a folder has 1 to {FILES_MAX} files", field="files")
    entries: dict[str, ObjectRef] = {}
    for place, file in enumerate(files):
        at = f"files.{place}"
        if not isinstance(file, dict) or not isinstance(file.get("path"), str):
            raise Problem(422, "a file is {path, object}", field=at)
        try:
            path = check_path(file["path"])
        except ValueError as error:
            raise Problem(422, str(error), field=f"{at}.path") from None
        if path in entries:
            raise Problem(422, f"two files have the path {path}", field=f"{at}.path")
        entries[path] = _ref(file.get("object"), namespace, f"{at}.object")
    for path in entries:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in entries:
                raise Problem(422, f"{path} lies inside a file of the folder", field="files")
    return list(entries.items())


def _ref(document: Any, namespace: str, at: str) -> ObjectRef:
    """A reference to a file of this namespace."""
    prefix = f"{at}." if at else ""
    try:
        ref = ObjectRef.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        field = prefix + ".".join(map(str, fault["loc"]))
        raise Problem(422, fault["msg"], field=field.rstrip(".")) from None
    match = _KEY.fullmatch(ref.uri)
    expected = ref.digest.partition(":")
    if (
        match is None
        or match[1] != namespace
        or (match[2], match[4]) != (expected[0], expected[2])
        or not match[4].startswith(match[3])
    ):
        raise Problem(
            404,
            f"{ref.uri[:200]} with {ref.digest} is no object of {namespace}",
            field=f"{prefix}uri",
            hint="take the reference as the upload gave it",
        )
    return ref.model_copy(update={"kind": "file"})


@asynccontextmanager
async def _scratch(context: Context) -> AsyncIterator[Path]:
    """A folder for the time of one request."""
    folder = await asyncio.to_thread(_make_scratch, context)
    try:
        yield folder
    finally:
        await _remove(folder)


def _make_scratch(context: Context) -> Path:
    base = context.settings.work_dir.expanduser() / "uploads"
    base.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=base))


async def _remove(folder: Path) -> None:
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


ROUTES = [
    Route("/v1/{namespace}/object", put_object, methods=["POST"]),
    Route("/v1/{namespace}/object", get_object),
    Route("/v1/{namespace}/folder", put_folder, methods=["POST"]),
]
