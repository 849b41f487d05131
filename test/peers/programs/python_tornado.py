"""tornado, client and server."""

import asyncio

import tornado
from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from control import End, client_context, control, server_context

max_size = 1 << 24


class TornadoEnd(End):
    server = None

    async def connect(self, url, protocols, deflate):
        messages = asyncio.Queue()

        def on_message(message):
            """None is the end."""
            if message is None and self.socket is None:
                messages.put_nowait(None)
            elif message is None:
                self.ended(self.socket)
            elif self.socket is None:
                messages.put_nowait(message)
            else:
                self.message(message)

        self.socket = None
        socket = await websocket_connect(
            HTTPRequest(url, ssl_options=client_context(url)),
            on_message_callback=on_message,
            subprotocols=protocols or None,
            compression_options={} if deflate else None,
            max_message_size=max_size,
        )
        self.connected(socket, socket.protocol, socket.selected_subprotocol)
        socket.on_pong = self.pong
        while not messages.empty():
            on_message(messages.get_nowait())

    async def listen(self, transport, protocols, deflate):
        end = self

        class Handler(WebSocketHandler):
            def select_subprotocol(self, offered):
                return next((each for each in protocols if each in offered), None)

            def get_compression_options(self):
                return {} if deflate else None

            def open(self):
                self.protocol = self.ws_connection
                end.connected(self, self.ws_connection, self.selected_subprotocol)

            def on_message(self, message):
                end.message(message)

            def on_pong(self, data):
                end.pong(data)

            def on_close(self):
                end.ended(self)

        application = Application([("/", Handler)], websocket_max_message_size=max_size)
        self.server = HTTPServer(application, ssl_options=server_context(transport))
        sockets = bind_sockets(0, "127.0.0.1")
        self.server.add_sockets(sockets)
        self.url(transport, sockets[0].getsockname()[1])

    def connected(self, socket, protocol, subprotocol):
        self.socket = socket
        self.protocol = protocol
        self.opened(subprotocol)

    def ended(self, socket):
        """It gives no code both where the Close has none and where there was none."""
        clean = socket.close_code is not None
        self.closed(socket.close_code, socket.close_reason, clean)

    async def send(self, data):
        await self.socket.write_message(data, binary=isinstance(data, bytes))

    async def ping(self, payload):
        self.socket.ping(payload)

    async def close(self, code, reason):
        self.socket.close(code, reason.decode() or None)

    def terminate(self):
        self.protocol.stream.close()

    async def end(self):
        self.server.stop()


asyncio.run(control("tornado", tornado.version, TornadoEnd))
