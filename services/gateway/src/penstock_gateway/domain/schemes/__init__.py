"""How deliveries of webhooks are verified, one file a kind of sender.

To add one: write its file with a `SCHEME`, and name it here. Sources can be declared with it then.
"""

from collections.abc import Mapping

from penstock_gateway.domain.schemes import (
    alertmanager,
    bearer,
    cloudevents,
    github,
    gitlab,
    hmac_header,
    huggingface,
    mlflow,
    s3,
    standard,
)
from penstock_gateway.domain.schemes.scheme import Scheme

SCHEMES: Mapping[str, Scheme] = {
    module.SCHEME.name: module.SCHEME
    for module in (
        standard,
        github,
        gitlab,
        hmac_header,
        bearer,
        s3,
        cloudevents,
        huggingface,
        mlflow,
        alertmanager,
    )
}

__all__ = ["SCHEMES", "Scheme"]
