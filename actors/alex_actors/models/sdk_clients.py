"""The official SDK's clients of one endpoint: one for every hundred calls that are made at once."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import httpx2
import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, Omit

from alex_actors.models.error_bodies import cut_error
from alex_actors.models.faults import CONNECT_SECONDS
from alex_actors.models.spec import ModelSpec

CALLS_A_CLIENT = 100
"""At once. A client's pool looks at all of its connections at the beginning and at the end of each call: with a
thousand in one pool, a thousand calls take three seconds of nothing else."""


@dataclass(slots=True)
class _Shared:
    """A client, and how many calls use it."""

    client: AsyncOpenAI
    calls: int = 0


class SdkClients:
    """Lends clients to calls, for as long as they take. ``transport`` takes the network's place, for tests.

    The first is kept with its idle connections. Others are there while they are needed.
    """

    def __init__(self, *, spec: ModelSpec, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._spec = spec
        self._transport = transport
        self._clients: list[_Shared] = []
        self._certificates: ssl.SSLContext | None = None

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AsyncOpenAI]:
        """Lend a client to a call."""
        shared = next((one for one in self._clients if one.calls < CALLS_A_CLIENT), None)
        if shared is None:
            shared = _Shared(self._new())
            self._clients.append(shared)
        shared.calls += 1
        try:
            yield shared.client
        finally:
            shared.calls -= 1
            if shared.calls == 0 and shared in self._clients[1:]:
                self._clients.remove(shared)
                await shared.client.close()

    async def aclose(self) -> None:
        """Close all connections. Who borrows after this gets a new client."""
        clients, self._clients = self._clients, []
        for shared in clients:
            await shared.client.close()

    def _new(self) -> AsyncOpenAI:
        spec = self._spec
        if self._certificates is None:
            self._certificates = httpx2.create_ssl_context()  # takes 20 ms: once, not for each client
        timeout = httpx2.Timeout(spec.timeout_seconds, connect=CONNECT_SECONDS, pool=None)
        http = openai.DefaultAsyncHttpxClient(
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=CALLS_A_CLIENT),
            timeout=timeout,
            transport=self._transport,
            verify=self._certificates,
            event_hooks={"response": [cut_error]},
            follow_redirects=False,  # the key, or the conversation, would go where nobody said that it may
        )
        # What the SDK would take from its own environment variables, and send to any server, is given or left out.
        nobody = cast("dict[str, str]", {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()})  # it takes Omit
        if spec.provider == "azure":
            return AsyncAzureOpenAI(
                azure_endpoint=spec.home,
                api_version=spec.api_version,
                api_key=spec.api_key,
                max_retries=0,  # each retry is an event of the task: they are made elsewhere
                timeout=timeout,
                http_client=http,
                default_headers=nobody,
            )
        return AsyncOpenAI(
            base_url=spec.home,
            api_key=spec.api_key or "none",
            max_retries=0,  # as above
            timeout=timeout,
            http_client=http,
            default_headers=nobody,
        )
