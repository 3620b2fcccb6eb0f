"""An identity provider on loopback: discovery, a key set that rotates, a token endpoint, and every way to misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

WELL_KNOWN = "/.well-known/openid-configuration"
HUGE = 64 << 20


@dataclass
class SigningKey:
    """A private key, its algorithm, and its public part as the provider publishes it."""

    key_id: str
    algorithm: str
    private: Any
    published: dict[str, Any]


def make_key(key_id: str, algorithm: str = "RS256") -> SigningKey:
    """A new key for an algorithm."""
    if algorithm.startswith(("RS", "PS")):
        private: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public: Any = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
        public = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm]
        private = ec.generate_private_key(curve)
        public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    public.pop("key_ops", None)
    return SigningKey(key_id, algorithm, private, {**public, "kid": key_id, "alg": algorithm, "use": "sig"})


@dataclass
class IdentityProvider:
    """What it answers, and what it was asked. `mode` by path: ok, hang, 500, redirect, huge, gzip, endless, not-json."""

    url: str = ""
    keys: list[SigningKey] = field(default_factory=list)
    mode: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    discovery: dict[str, Any] = field(default_factory=dict)
    token_answer: Any = None
    clients: dict[str, str] = field(default_factory=dict)
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def sign(self, key: SigningKey | None = None, **claims: Any) -> str:
        """A token of this provider."""
        key = key or self.keys[0]
        now = int(time.time())
        body = {"iss": self.url, "aud": "chapar", "sub": "user-1", "iat": now, "exp": now + 600, **claims}
        return jwt.encode(body, key.private, algorithm=key.algorithm, headers={"kid": key.key_id})

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.asked.count(path)

    def _answer(self, path: str, body: bytes, authorization: str) -> tuple[int, Any]:
        if path == WELL_KNOWN:
            return 200, {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "token_endpoint": f"{self.url}/token",
                **self.discovery,
            }
        if path == "/keys":
            return 200, {"keys": [key.published for key in self.keys]}
        if path == "/token":
            self.forms.append(parse_qs(body.decode()))
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            if self.clients.get(name) != secret:
                return 401, {"error": "invalid_client"}
            token = self.sign(sub=name, scope=self.forms[-1].get("scope", [""])[0])
            good = {"access_token": token, "token_type": "Bearer", "expires_in": 600}
            return 200, good if self.token_answer is None else self.token_answer
        return 404, {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *headers = head.split("\r\n")
            path = line.split()[1]
            fields = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in headers if h)}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            self.asked.append(path)
            await self._write(writer, self.mode.get(path, "ok"), path, body, fields.get("authorization", ""))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _write(self, writer: asyncio.StreamWriter, mode: str, path: str, body: bytes, authorization: str) -> None:
        status, answer = self._answer(path, body, authorization)
        raw = json.dumps(answer).encode()
        extra = ""
        if mode == "hang":
            await asyncio.sleep(3600)
        elif mode == "500":
            status = 500
        elif mode == "redirect":
            status, extra = 302, f"location: {self.url}/other\r\n"
        elif mode == "not-json":
            raw = b"<html>sign in</html>"
        elif mode == "deep":
            raw = b'{"keys":' + b"[" * 100_000
        elif mode == "gzip":
            raw, extra = gzip.compress(b" " * HUGE), "content-encoding: gzip\r\n"
        elif mode == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        elif mode == "huge":
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {HUGE}\r\n\r\n".encode())
            for _ in range(HUGE >> 16):
                writer.write(b" " * (1 << 16))
                await writer.drain()
            return
        writer.write(f"HTTP/1.1 {status} X\r\n{extra}content-length: {len(raw)}\r\n\r\n".encode() + raw)
        await writer.drain()


@contextlib.asynccontextmanager
async def identity_provider(*keys: SigningKey) -> AsyncIterator[IdentityProvider]:
    """A running provider."""
    provider = IdentityProvider(keys=list(keys))
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await provider.serve(reader, writer)
        finally:
            connections.discard(task)
            writer.transport.abort()  # also one that hangs: nothing may outlive the test

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
