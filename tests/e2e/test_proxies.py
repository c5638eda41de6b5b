"""HTTP mode behind the nginx and the Caddy of `python -m bot deploy`: real ones, with the bot behind them."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bot import deploy
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.slack.http_mode import LARGEST
from tests.e2e.listening import Listening, command_body, signed
from tests.ports import free_port
from tests.slack.acting import at_rest, card, shown
from tests.tools import tool

Front = Callable[[int, Path], Awaitable[list[str]]]


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def nginx(folder: Path, server: str, *arguments: str) -> list[str]:
    """A command that runs nginx with these servers, and keeps all that it writes in the folder."""
    written = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off; {written}\n{server}\n}}\n"
    )
    return [tool("nginx"), "-p", str(folder), "-e", "stderr", "-c", str(config), *arguments]


def nginx_in_front(folder: Path, port: int, of: int) -> list[str]:
    """What is printed, on another port and without TLS: the certificate is for somebody else's name."""
    text = replaced(deploy.file("nginx.conf"), "listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = replaced(text, "127.0.0.1:3000", f"127.0.0.1:{of}")
    return nginx(folder, re.sub(r" *(listen \[::\]|ssl_certificate).*\n", "", text))


def caddy_in_front(folder: Path, port: int, of: int) -> list[str]:
    """As with nginx."""
    text = replaced(deploy.file("Caddyfile"), "pay.example.com {", f"http://127.0.0.1:{port} {{")
    text = replaced(text, "reverse_proxy 127.0.0.1:3000", f"reverse_proxy 127.0.0.1:{of}")
    config = folder / "Caddyfile"
    config.write_text("{\n\tadmin off\n}\n" + text)
    return [tool("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]


@asynccontextmanager
async def running(folder: Path, command: list[str], port: int) -> AsyncIterator[str]:
    """Run it until the block ends; gives its address when it answers."""
    process = await asyncio.create_subprocess_exec(
        *command, env={"HOME": str(folder)}, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while True:
                assert process.returncode is None, "it ended"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture(params=[nginx_in_front, caddy_in_front], ids=["nginx", "caddy"])
async def front(request: pytest.FixtureRequest, listening: Listening, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a proxy in front of a bot."""
    port = free_port()
    async with running(tmp_path, request.param(tmp_path, port, listening.port), port) as address:
        yield address


async def test_what_slack_sends_comes_through(
    front: str, slack: LocalSlack, billing: LocalBilling, listening: Listening
) -> None:
    """With its signature: the challenge, a command, and the events."""
    slack.deliver_to(f"{front}/slack/events")
    assert await slack.challenges()
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    assert (await slack.person("alice").opens_home()).ok
    await at_rest(listening.bot)
    assert "*Paid*" in shown(card(slack))
    assert billing.payments_received("vps", 10101) == 1


async def test_nothing_else_does(front: str, slack: LocalSlack, listening: Listening) -> None:
    """No other path, no other method, and nothing that is larger than what Slack sends."""
    url, body = f"{front}/slack/events", command_body(text="x" * (LARGEST + 1))
    headers = signed(slack.signing_secret, body)
    async with aiohttp.ClientSession() as session:
        for method, address in (("GET", url), ("GET", f"{front}/"), ("POST", f"{front}/slack/events/x")):
            async with session.request(method, address) as answer:
                assert answer.status in (403, 404), (method, address)
        async with session.post(url, data=io.BytesIO(body.encode()), headers=headers) as answer:
            assert answer.status in (413, 502), "Caddy has no number of its own for it"
        async with session.post(url, data="x", headers=signed("0" * 32, "x")) as answer:
            assert answer.status == 401
    assert await listening.bot.ledger.recent() == []


def test_nginx_takes_it_as_it_is(tmp_path: Path) -> None:
    """With TLS, and a certificate where it says that one is."""
    for name in ("fullchain.pem", "privkey.pem"):
        assert f"/etc/letsencrypt/live/pay.example.com/{name}" in deploy.file("nginx.conf")
    text = deploy.file("nginx.conf").replace("/etc/letsencrypt/live/pay.example.com", str(tmp_path))
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    subprocess.run(
        [
            *(tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=pay.example.com", "-keyout", key, "-out", certificate),
        ],
        capture_output=True,
        timeout=30,
        check=True,
    )
    done = subprocess.run(
        nginx(tmp_path, text, "-t"), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_caddy_takes_it_as_it_is(tmp_path: Path) -> None:
    """And would write it in no other way."""
    config = tmp_path / "Caddyfile"
    config.write_text(deploy.file("Caddyfile"))
    for arguments in (["validate", "--adapter", "caddyfile", "--config", str(config)], ["fmt", str(config)]):
        done = subprocess.run(
            [tool("caddy"), *arguments],
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path)},
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout == config.read_text()
