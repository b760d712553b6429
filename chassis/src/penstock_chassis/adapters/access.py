"""Who is recognised by these settings: the composition of `Bearers`."""

from penstock_chassis.accounts import (
    NOUNS,
    AccessSettings,
    AccountBook,
    Bearers,
    ExternalTokens,
    evolve,
)
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Clock


def account_fold() -> Fold[AccountBook]:
    """The fold of accounts, for a service to follow."""
    return Fold(NOUNS, AccountBook(), evolve)


def make_bearers(settings: AccessSettings, fold: Fold[AccountBook], clock: Clock) -> Bearers:
    """Recognises by these settings; raises `ValueError` for ones that cannot work."""
    return Bearers(
        fold,
        clock,
        open=settings.auth == "none",
        admin_hash=settings.read_admin_hash(),
        external=_external(settings),
        claim_roles=settings.claim_roles,
    )


def _external(settings: AccessSettings) -> ExternalTokens | None:
    if not settings.oidc_issuer:
        return None
    from penstock_chassis.adapters.oidc import OidcTokens  # noqa: PLC0415 - 40 ms of cryptography

    return OidcTokens(
        settings.oidc_issuer,
        settings.oidc_audience,
        settings.oidc_account_claim,
        settings.oidc_roles_claim,
    )
