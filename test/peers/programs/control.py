"""The peers that are written in Python are told what to do on stdin, and tell on stdout; see ../README.md."""

import asyncio
import ssl
import sys


def bytes_of(word):
    return b"" if word == "-" else bytes.fromhex(word)


def hex_of(data):
    return (data.encode() if isinstance(data, str) else bytes(data)).hex() or "-"


class End:
    """What all ends of a connection have in common; each library makes the rest of it."""

    def __init__(self, number):
        self.number = number

    def tell(self, *words):
        print(self.number, *words, flush=True)

    def opened(self, protocol):
        self.tell("open", protocol or "-")

    def message(self, data):
        self.tell("text" if isinstance(data, str) else "binary", hex_of(data))

    def pong(self, data):
        self.tell("pong", hex_of(data))

    def closed(self, code, reason, clean):
        """The code is None where there is none to tell."""
        if code is None:
            code = 1005 if clean else 1006
        self.tell("closed", code, hex_of(reason or ""), "clean" if clean else "unclean")

    def url(self, transport, port):
        self.tell("listening", f"{'wss' if transport == 'TLS' else 'ws'}://127.0.0.1:{port}/")


def server_context(transport):
    if transport != "TLS":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[-1], sys.argv[-2])
    return context


def client_context(url):
    return ssl.create_default_context(cafile=sys.argv[-1]) if url.startswith("wss:") else None


async def perform(end, verb, words):
    if verb == "connect":
        url, protocols, deflate = words
        await end.connect(url, names(protocols), deflate == "deflate")
    elif verb == "listen":
        transport, protocols, deflate = words
        await end.listen(transport, names(protocols), deflate == "deflate")
    elif verb == "text":
        await end.send(bytes_of(words[0]).decode())
    elif verb == "binary":
        await end.send(bytes_of(words[0]))
    elif verb == "fragment":
        await end.fragment(words[0] == "binary", words[1] == "last", bytes_of(words[2]))
    elif verb == "ping":
        await end.ping(bytes_of(words[0]))
    elif verb == "close":
        await end.close(None if words[0] == "-" else int(words[0]), bytes_of(words[1]))
    elif verb == "terminate":
        end.terminate()
    elif verb == "end":
        await end.end()


def names(word):
    return [] if word == "-" else word.split(",")


async def work(end, commands):
    """One after the other, for what is sent goes out in order."""
    while True:
        verb, words = await commands.get()
        try:
            await perform(end, verb, words)
        except Exception as error:
            end.tell("failed", verb, repr(error))


async def control(name, version, make):
    """Makes an end for each number, and passes on to it what comes."""
    print(0, "peer", name, version, flush=True)
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ends = {}
    while line := await reader.readline():
        number, verb, *words = line.decode().split()
        if number not in ends:
            commands = asyncio.Queue()
            ends[number] = commands, asyncio.create_task(work(make(number), commands))
        ends[number][0].put_nowait((verb, words))
