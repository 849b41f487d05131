"""websockets, client and server."""

import asyncio

import websockets
from websockets.exceptions import ConnectionClosed
from websockets.legacy.client import connect
from websockets.frames import OP_BINARY, OP_CONT, OP_TEXT, Close
from websockets.legacy.server import serve

from control import End, client_context, control, server_context

patient = {"ping_interval": None, "close_timeout": 60, "max_size": None}


class WebsocketsEnd(End):
    server = None
    in_message = False

    async def connect(self, url, protocols, deflate):
        self.socket = await connect(
            url,
            subprotocols=protocols or None,
            compression="deflate" if deflate else None,
            ssl=client_context(url),
            **patient,
        )
        self.reading = asyncio.create_task(self.read())

    async def listen(self, transport, protocols, deflate):
        async def handle(socket):
            self.socket = socket
            await self.read()

        self.server = await serve(
            handle,
            "127.0.0.1",
            0,
            subprotocols=protocols or None,
            compression="deflate" if deflate else None,
            ssl=server_context(transport),
            **patient,
        )
        self.url(transport, self.server.sockets[0].getsockname()[1])

    async def read(self):
        self.opened(self.socket.subprotocol)
        try:
            while True:
                self.message(await self.socket.recv())
        except ConnectionClosed as end:
            await self.socket.wait_closed()
            code, reason = (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")
            self.closed(code, reason, end.rcvd is not None and end.sent is not None)

    async def send(self, data):
        await self.socket.send(data)

    async def fragment(self, binary, last, data):
        """By the frame: `send` takes fragments too, but no text that is cut inside a character."""
        opcode = OP_CONT if self.in_message else OP_BINARY if binary else OP_TEXT
        self.in_message = not last
        await self.socket.write_frame(last, opcode, data)

    async def ping(self, payload):
        async def wait(pong):
            await pong
            self.pong(payload)

        self.waiting = asyncio.create_task(wait(await self.socket.ping(payload)))

    async def close(self, code, reason):
        if code is None:
            await self.socket.write_close_frame(Close(1005, ""), b"")
        else:
            self.closing = asyncio.create_task(self.socket.close(code, reason.decode()))

    def terminate(self):
        self.socket.transport.abort()

    async def end(self):
        self.server.close()


asyncio.run(control("websockets", websockets.__version__, WebsocketsEnd))
