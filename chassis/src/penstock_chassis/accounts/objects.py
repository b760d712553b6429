"""The object store's own accounts, as the identities of SeaweedFS or as policies of IAM: pure.

A namespace's credential opens the keys below its namespace and nothing else, enforced by the S3
server (measured on 4.48: reads, writes, lists, deletes and copies outside are refused). S3 signs
with a secret that the server must know too, so it is derived from the administrator's: it is in no
event and no file but the server's own configuration.
"""

import base64
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from penstock_chassis.accounts.book import Credential

READING = ("Read", "List")
WRITING = ("Write", "Tagging")
POLICY_ACTIONS = {
    "viewer": ("s3:GetObject",),
    "editor": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
}
"""What each role may do with objects, in the words of IAM."""
ADMIN_ACTIONS = ("Admin", *READING, *WRITING)


def objects_secret(admin_secret: str, access_key: str) -> str:
    """The secret key of a credential (43 characters, of 256 bits)."""
    digest = hmac.digest(admin_secret.encode(), f"penstock objects {access_key}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def object_identities(
    credentials: Iterable[Credential],
    access_key: str,
    secret_key: str,
    bucket: str,
    revoked: Iterable[str] = (),
) -> Mapping[str, Any]:
    """The file `s3.json`: the administrator, and everybody who has a credential.

    A running server keeps an identity that the file does not name any more; so those that were
    `revoked` since it started are named, without keys.
    """
    identities = [_identity("penstock", access_key, secret_key, ADMIN_ACTIONS)]
    for one in credentials:
        if one.issued.kind != "s3":
            continue
        key = one.issued.public_key
        verbs = READING if one.issued.role == "viewer" else (*READING, *WRITING)
        actions = [f"{verb}:{bucket}/{one.namespace}/*" for verb in verbs]
        identities.append(_identity(key, key, objects_secret(secret_key, key), actions))
    identities += [{"name": name, "credentials": [], "actions": []} for name in revoked]
    return {"identities": identities}


def object_policies(namespaces: Iterable[str], bucket: str) -> Mapping[str, Mapping[str, Any]]:
    """The same as policies of IAM, for an S3 server that is not SeaweedFS (MinIO, AWS): by the name
    `penstock-<namespace>-<role>`, two for each namespace."""
    return {
        f"penstock-{name}-{role}": _policy(name, bucket, actions)
        for name in sorted(namespaces)
        for role, actions in POLICY_ACTIONS.items()
    }


def _policy(namespace: str, bucket: str, actions: Iterable[str]) -> Mapping[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
                "Condition": {"StringLike": {"s3:prefix": [f"{namespace}/*"]}},
            },
            {
                "Effect": "Allow",
                "Action": list(actions),
                "Resource": [f"arn:aws:s3:::{bucket}/{namespace}/*"],
            },
        ],
    }


def _identity(
    name: str, access_key: str, secret_key: str, actions: Iterable[str]
) -> dict[str, Any]:
    keys = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"name": name, "credentials": keys, "actions": list(actions)}
