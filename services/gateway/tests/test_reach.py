"""The guard of deliveries: which addresses are reached, and that nothing gets around it."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from penstock_gateway.adapters.guarded_http import GuardedHttp, resolve, seconds_of
from penstock_gateway.domain.reach import reach_of

REFUSED = {
    "loopback": "127.0.0.1",
    "all of loopback": "127.255.255.254",
    "this host": "0.0.0.0",
    "this network": "0.1.2.3",
    "private 10": "10.1.2.3",
    "private 172": "172.16.0.1",
    "private 192": "192.168.1.1",
    "carriers' inner network": "100.64.0.1",
    "link-local": "169.254.1.1",
    "metadata of most clouds": "169.254.169.254",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Oracle": "192.0.0.192",
    "host agent of Azure": "168.63.129.16",
    "benchmarks": "198.18.0.1",
    "documentation": "203.0.113.7",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "relays of 6to4": "192.88.99.1",
    "IPv6 loopback": "::1",
    "IPv6 this host": "::",
    "IPv6 link-local": "fe80::1",
    "IPv6 link-local with its interface": "fe80::1%eth0",
    "IPv6 unique local": "fd12::1",
    "IPv6 metadata of AWS": "fd00:ec2::254",
    "IPv6 site-local": "fec0::1",
    "IPv6 multicast": "ff02::1",
    "IPv6 documentation": "2001:db8::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped loopback in hexadecimal": "::ffff:7f00:1",
    "mapped metadata": "::ffff:169.254.169.254",
    "mapped private": "::ffff:10.0.0.1",
    "compatible loopback": "::127.0.0.1",
    "6to4 of loopback": "2002:7f00:1::",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of metadata": "64:ff9b::169.254.169.254",
    "local NAT64 of private": "64:ff9b:1::10.0.0.1",
    "Teredo": "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "no address": "localhost",
    "nothing": "",
    "octal": "0177.0.0.1",
    "one number": "2130706433",
}
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NAMES = {
    "http://2130706433/": "decimal",
    "http://0x7f000001/": "hexadecimal",
    "http://0177.0.0.1/": "octal",
    "http://127.1/": "short",
    "http://localhost/": "name",
    "http://LOCALHOST:80/": "name in capitals",
    "http://[::1]/": "IPv6",
    "http://[::ffff:127.0.0.1]/": "mapped",
    "http://0/": "zero",
}


@pytest.mark.parametrize("address", REFUSED.values(), ids=REFUSED)
def test_an_address_that_is_not_of_the_public_internet_is_refused(address: str) -> None:
    assert reach_of(()).refusal(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached_with_tls_on_web_ports_and_high_ones(address: str) -> None:
    reach = reach_of(())
    ports = (22, 25, 80, 443, 853, 1024, 8443)
    assert [port for port in ports if reach.refusal(address, port)] == [22, 25, 853]
    assert "TLS" in reach.refusal(address, 80, plain=True)


def test_a_network_of_the_settings_is_reached_in_each_form_and_no_other_is() -> None:
    reach = reach_of(["10.1.0.0/16", "127.0.0.0/8", "fd12::/64"])
    assert not reach.refusal("10.1.2.3", 25, plain=True)
    assert not reach.refusal("::ffff:10.1.2.3", 9000)
    assert not reach.refusal("fd12::7", 9000)
    assert reach.refusal("10.2.0.1", 443)
    assert reach.refusal("::ffff:10.2.0.1", 443)
    assert not reach.refusal("64:ff9b::10.1.2.3", 443)
    assert reach.refusal("169.254.169.254", 80)


@pytest.mark.parametrize("url", NAMES, ids=NAMES.values())
async def test_whatever_a_url_calls_the_machine_no_connection_is_made(url: str) -> None:
    knocks: list[str] = []
    async with listening(knocks) as port:
        sender = GuardedHttp(reach_of(()), trust=ssl.create_default_context())
        answer = await sender.post(with_port(url, port), {}, b"{}")
        await sender.close()
    assert answer.status == 0
    assert "not connected" in answer.error or "cannot be resolved" in answer.error
    assert not knocks


async def test_a_name_whose_address_changes_after_it_was_judged_leads_nowhere_else() -> None:
    """DNS rebinding: the first answer is public, every later one the machine itself."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["203.0.114.9"] if len(asked) == 1 else ["127.0.0.1"]

    knocks: list[str] = []
    async with listening(knocks) as port:
        sender = GuardedHttp(
            reach_of(()), resolve=rebinding, trust=ssl.create_default_context(), total_seconds=0.5
        )
        first = await sender.post(f"https://rebind.example:{port}/", {}, b"{}")
        second = await sender.post(f"https://rebind.example:{port}/", {}, b"{}")
        await sender.close()
    assert len(asked) == 2, "each connection resolves once, and goes where that leads"
    assert first.status == second.status == 0
    assert "127.0.0.1 is not an address of the public internet" in second.error
    assert not knocks


async def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    sender = GuardedHttp(reach_of(()), resolve=mixed, trust=ssl.create_default_context())
    answer = await sender.post("https://mixed.example/", {}, b"{}")
    await sender.close()
    assert "10.0.0.1" in answer.error


async def test_a_redirect_is_not_followed_and_a_long_answer_is_not_read() -> None:
    knocks: list[str] = []

    def redirect(number: int) -> bytes:
        return (
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
        )

    def endless(number: int) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 200_000

    sender = GuardedHttp(reach_of(["127.0.0.0/8"]), trust=ssl.create_default_context())
    async with listening(knocks, redirect) as port:
        answer = await sender.post(f"http://127.0.0.1:{port}/x", {}, b"{}")
        assert (answer.status, answer.taken) == (302, False)
        assert "not followed" in answer.error
    async with listening(knocks, endless) as port:
        answer = await sender.post(f"http://127.0.0.1:{port}/x", {}, b"{}")
        assert answer.taken
    await sender.close()
    assert len(knocks) == 2


async def test_an_answer_that_never_comes_is_waited_for_within_a_bound() -> None:
    async with listening([], lambda number: b"") as port:
        sender = GuardedHttp(
            reach_of(["127.0.0.0/8"]), trust=ssl.create_default_context(), total_seconds=0.2
        )
        answer = await sender.post(f"http://127.0.0.1:{port}/", {}, b"{}")
        await sender.close()
    assert answer.status == 0
    assert "no answer within 0.2 s" in answer.error


async def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    now = datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert seconds_of("120", now) == 120.0
    assert seconds_of("Tue, 24 Nov 2026 10:02:00 GMT", now) == 120.0
    assert seconds_of("Tue, 24 Nov 2026 09:00:00 GMT", now) == 0.0
    assert seconds_of("soon", now) is None
    assert seconds_of("", now) is None
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]


def with_port(url: str, port: int) -> str:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].removesuffix(":80")
    return f"{scheme}://{host}:{port}/"


class listening:  # noqa: N801 - a context
    """A server on the machine that notes who knocks, and gives one answer."""

    def __init__(
        self, knocks: list[str], answer: Callable[[int], bytes] = lambda number: b""
    ) -> None:
        self._knocks, self._answer = knocks, answer
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._knocks.append(str(writer.get_extra_info("peername")))
        self._open.add(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer(len(self._knocks)))

    async def __aexit__(self, *_: object) -> None:
        for writer in self._open:
            writer.close()
        self._server.close()
        await self._server.wait_closed()
