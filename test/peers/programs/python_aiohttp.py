"""aiohttp, client and server."""

import asyncio

import aiohttp
from aiohttp import ClientSession, WSMsgType, web

from control import End, client_context, control, server_context

patient = {"autoping": False, "timeout": 60, "max_msg_size": 1 << 24}


class AiohttpEnd(End):
    runner = None

    def __init__(self, number):
        super().__init__(number)
        self.done = asyncio.Event()

    def closed(self, code, reason, clean):
        super().closed(code, reason, clean)
        self.done.set()

    async def connect(self, url, protocols, deflate):
        self.session = ClientSession()
        try:
            self.socket = await self.session.ws_connect(
                url, protocols=protocols, compress=15 if deflate else 0, ssl=client_context(url), **patient
            )
        except BaseException:
            await self.session.close()
            raise
        self.reading = asyncio.create_task(self.read())

    async def listen(self, transport, protocols, deflate):
        async def handle(request):
            self.socket = web.WebSocketResponse(protocols=protocols, compress=deflate, **patient)
            await self.socket.prepare(request)
            self.connection = request.transport
            self.reading = asyncio.create_task(self.read())
            await self.done.wait()
            return self.socket

        application = web.Application()
        application.router.add_get("/", handle)
        self.runner = web.AppRunner(application)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=server_context(transport))
        await site.start()
        self.url(transport, self.runner.addresses[0][1])

    async def read(self):
        self.opened(self.socket.ws_protocol if self.runner else self.socket.protocol)
        while True:
            message = await self.socket.receive()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self.message(message.data)
            elif message.type == WSMsgType.PING:
                await self.socket.pong(message.data)
            elif message.type == WSMsgType.PONG:
                self.pong(message.data)
            elif message.type == WSMsgType.CLOSE:
                # Code 0 is a Close without one.
                self.closed(message.data or None, message.extra, True)
                return
            else:
                self.closed(1006, "", False)
                return

    async def send(self, data):
        await (self.socket.send_str if isinstance(data, str) else self.socket.send_bytes)(data)

    async def ping(self, payload):
        await self.socket.ping(payload)

    async def close(self, code, reason):
        self.closing = asyncio.create_task(self.shake(code, reason))

    async def shake(self, code, reason):
        """Behind the back of a receive() it would not wait for the answer."""
        self.reading.cancel()
        await asyncio.wait([self.reading])
        await self.socket.close(code=1000 if code is None else code, message=reason)
        self.closed(self.socket.close_code or None, "", self.socket.close_code != 1006)

    def terminate(self):
        connection = self.connection if self.runner else self.socket._response.connection.transport
        connection.abort()

    async def end(self):
        await self.runner.cleanup()


asyncio.run(control("aiohttp", aiohttp.__version__, AiohttpEnd))
