"""`penstock login`, `logout`, `whoami`; the verbs of member, token and credential."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from penstock.cli.export import export
from penstock.cli.output import Cell, emit_json, say, table
from penstock.cli.session import (
    EXIT_SIGN_IN,
    JsonOption,
    NamespaceOption,
    NoInputOption,
    connect,
    done,
    fail,
    usage,
)

RoleOption = Annotated[str, typer.Option(help="viewer, editor or admin.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for those who read the log.")]
DescriptionOption = Annotated[str, typer.Option(help="What it is for.")]


def register(app: typer.Typer) -> None:
    """Add what concerns the caller alone."""
    for function in (login, logout, whoami):
        app.command(function.__name__)(function)


def register_member(app: typer.Typer) -> None:
    """Add the verbs of members."""
    app.command("add")(add_member)
    app.command("rm")(remove_member)


def register_token(app: typer.Typer) -> None:
    """Add the verbs of tokens."""
    app.command("create")(create_token)
    app.command("revoke")(revoke_token)
    app.command("bootstrap")(bootstrap)


def register_credential(app: typer.Typer) -> None:
    """Add the verbs of credentials."""
    app.command("create")(create_credential)
    app.command("revoke")(revoke_credential)
    app.command("export")(export)


def login(no_input: NoInputOption = False, json_output: JsonOption = False) -> None:
    """Store an API token for the platform (PENSTOCK_URL, or the one here).

    The token is asked for, or read from standard input; it is checked before it is stored.
    """
    from penstock.client import Client, SignInNeeded  # noqa: PLC0415
    from penstock.client.address import find_address  # noqa: PLC0415
    from penstock.client.credentials import store_token  # noqa: PLC0415

    url = find_address().gateway_url
    if sys.stdin.isatty():
        if no_input:
            usage("the token is read from standard input", "penstock login < token-file")
        token = typer.prompt(f"Token for {url}", hide_input=True, err=True).strip()
    else:
        token = sys.stdin.readline().strip()
    if not token:
        usage("there is no token on standard input", "penstock login < token-file")
    with Client(url, token=token) as client:
        try:
            account = client.whoami()["account"]
        except SignInNeeded as error:
            fail(f"{url} does not accept it: {error}", "penstock token create", EXIT_SIGN_IN)
    path = store_token(url, token)
    done(f"signed in to {url} as {account}; stored in {path}", json_output, {"account": account})


def logout(json_output: JsonOption = False) -> None:
    """Forget the stored token of the platform; the token itself stays good until it is revoked."""
    from penstock.client.address import find_address  # noqa: PLC0415
    from penstock.client.credentials import forget_token  # noqa: PLC0415

    url = find_address().gateway_url
    known = forget_token(url)
    said = f"signed out of {url}" if known else f"no token for {url}"
    done(said, json_output, {"forgot": known})


def whoami(json_output: JsonOption = False) -> None:
    """Show the account that commands act as, and its roles."""
    with connect() as client:
        found = client.whoami()
    if json_output:
        emit_json(found)
        return
    say(f"{found['account']} (by {found['via']})")
    roles = dict(found["roles"])
    if found["everywhere"]:
        roles["everywhere"] = found["everywhere"]
    table(["namespace", "role"], [[Cell(name), Cell(role)] for name, role in roles.items()])


def add_member(
    account: Annotated[str, typer.Argument(help="The account, e.g. of `penstock whoami`.")],
    role: RoleOption = "viewer",
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Give an account a role in the namespace."""
    with connect(namespace) as client:
        client.member.add(account, role)
        where = client.namespace
    done(f"{account} is {role} in {where}", json_output, {"member": account, "role": role})


def remove_member(
    account: Annotated[str, typer.Argument(help="The account.")],
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """End an account's role in the namespace, and with it its tokens there."""
    with connect(namespace) as client:
        client.member.remove(account)
        where = client.namespace
    said = f"{account} is no member of {where} any more"
    done(said, json_output, {"member": account, "role": None})


def create_token(
    account: Annotated[
        str | None, typer.Option(help="Whom its holder acts as. [default: you]")
    ] = None,
    role: RoleOption = "viewer",
    expires_days: Annotated[float, typer.Option(help="When it ends by itself.")] = 90.0,
    description: DescriptionOption = "",
    only: Annotated[
        list[str] | None,
        typer.Option(help="In `-n system`: the namespaces where it is good; repeatable."),
    ] = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make an API token. It is printed this once: the platform keeps a hash alone."""
    with connect(namespace) as client:
        made = client.token.create(
            account=account,
            role=role,
            expires_days=expires_days,
            description=description,
            namespaces=tuple(only or ()),
        )
    _told(made, "secret", json_output)


def revoke_token(
    id: Annotated[str, typer.Argument(help="Its id, or either end of it.")],
    reason: ReasonOption = "",
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Refuse a token from now on."""
    with connect(namespace) as client:
        whole = client.token.find(id).id
        client.token.revoke(whole, reason=reason)
    done(f"token {whole} is refused from now on", json_output, {"token": whole})


def bootstrap(json_output: JsonOption = False) -> None:
    """Make the token of the first administrator, without a platform.

    Give the platform its hash (PENSTOCK_ADMIN_TOKEN_HASH) and yourself the token.
    """
    from penstock_schemas.tokens import hash_of, make_token  # noqa: PLC0415

    token = make_token()
    made = {"token": token, "hash": hash_of(token)}
    if json_output:
        emit_json(made)
    else:
        sys.stdout.write(f"PENSTOCK_TOKEN={token}\nPENSTOCK_ADMIN_TOKEN_HASH={made['hash']}\n")
        say("keep the first secret; give the second to the platform")


def create_credential(
    kind: Annotated[str, typer.Option(help="nats or s3.")] = "nats",
    role: RoleOption = "viewer",
    description: DescriptionOption = "",
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make a key pair for the bus or the object store. Its secret half is printed this once."""
    with connect(namespace) as client:
        made = client.credential.create(kind=kind, role=role, description=description)
    _told(made, "seed" if "seed" in made else "secret_key", json_output)


def revoke_credential(
    id: Annotated[str, typer.Argument(help="Its id, or either end of it.")],
    reason: ReasonOption = "",
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Refuse a key from now on, and close its connections."""
    with connect(namespace) as client:
        whole = client.credential.find(id).id
        client.credential.revoke(whole, reason=reason)
    done(f"credential {whole} is refused from now on", json_output, {"credential": whole})


def _told(made: dict[str, Any], secret: str, as_json: bool) -> None:
    if as_json:
        emit_json(made)
        return
    sys.stdout.write(f"{made[secret]}\n")
    sys.stdout.flush()
    say(f"{made.get('token') or made.get('credential')}: keep it now, it is not shown again")
