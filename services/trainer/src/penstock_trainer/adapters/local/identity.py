"""The identity of a root: a random name in a file of its own, made once.

It lies in the root itself, so that it is lost with what it stands for: a trainer whose disk was
emptied is another trainer, which never starts what the first one claimed. Do not copy a root: its
copy would believe that it is the original.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from penstock_trainer.adapters.local.layout import IDENTITY
from penstock_trainer.runner.files import read_json, sync_directory, write_json


def identity_of(root: Path) -> str:
    """Read the identity of the root, or give it one; the file and its name are on disk at return.

    Of several that begin at once, one gives the name, and all return it.
    """
    path = root / IDENTITY
    found = read_json(path)
    if found is None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = uuid.uuid4().hex
        mine = root / f".{IDENTITY}-{name}"
        write_json(mine, {"trainer": name})
        try:
            os.link(mine, path)  # unlike a rename it fails where somebody was faster
        except FileExistsError:
            pass
        finally:
            mine.unlink()
        sync_directory(root)
        sync_directory(root.parent)
        found = read_json(path)
        assert found is not None, "it was linked above"
    return str(found["trainer"])
