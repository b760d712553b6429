"""Who asks, and what they may: accounts, their roles in namespaces, and their API tokens.

Folded from the log (`member.*`, `token.*`), so every service that answers people judges alike.
"""

from penstock_chassis.accounts.bearer import Bearers, ExternalTokens, Unauthenticated
from penstock_chassis.accounts.book import NOUNS, AccountBook, Credential, evolve
from penstock_chassis.accounts.principal import LOCAL, Principal, least, ranked
from penstock_chassis.accounts.settings import (
    LOOPBACK_HOSTS,
    AccessSettings,
    ClaimRoles,
)
from penstock_schemas.tokens import hash_of, make_token, well_formed

__all__ = [
    "LOCAL",
    "LOOPBACK_HOSTS",
    "NOUNS",
    "AccessSettings",
    "AccountBook",
    "Bearers",
    "ClaimRoles",
    "Credential",
    "ExternalTokens",
    "Principal",
    "Unauthenticated",
    "evolve",
    "hash_of",
    "least",
    "make_token",
    "ranked",
    "well_formed",
]
