"""The package `websockets` of Python as a client and as a server."""

import asyncio

from line import chosen, decoded, encoded, heard, orders, tell
from websockets import exceptions, version
from websockets.extensions import permessage_deflate
from websockets.legacy import client, server

voices = {}
# No time limit: the test has one.
LIMITS = {"max_size": None, "ping_interval": None, "compression": None, "close_timeout": 3600}


class Voice:
    """One connection: what is told to it, and what it is to say, in order."""

    def __init__(self, number, socket):
        self.number = number
        self.socket = socket
        self.waiting = asyncio.Queue()
        voices[number] = self
        tell(
            on=number,
            told="open",
            subprotocol=socket.subprotocol or "",
            extensions=", ".join(extension.name for extension in socket.extensions),
        )

    async def live(self):
        saying = asyncio.create_task(self.say())
        try:
            async for message in self.socket:
                heard(self.number, message)
        except exceptions.ConnectionClosedError:
            pass
        await self.socket.wait_closed()
        saying.cancel()
        clean = self.socket.close_rcvd is not None and self.socket.close_sent is not None
        # Its opinion of the other side is in its own Close, if that was the first.
        code = self.socket.close_code
        if not clean and self.socket.close_sent is not None:
            code = self.socket.close_sent.code
        tell(on=self.number, told="closed", code=code, reason=self.socket.close_reason or "", clean=clean)

    async def say(self):
        while True:
            order = await self.waiting.get()
            try:
                await self.obey(order)
            except exceptions.ConnectionClosed:
                pass

    async def obey(self, order):
        do = order["do"]
        if do == "text":
            await self.socket.send(order["text"])
        elif do == "binary":
            await self.socket.send(decoded(order["base64"]))
        elif do == "fragments":
            parts = [decoded(part) for part in order["parts"]]
            await self.socket.send([part.decode() for part in parts] if order["type"] == "text" else parts)
        elif do == "ping":
            payload = decoded(order["base64"])
            await (await self.socket.ping(payload))
            tell(on=self.number, told="pong", base64=encoded(payload))
        elif do == "close":
            await self.socket.close(order.get("code", 1000), order.get("reason", ""))
        elif do == "raw":
            self.socket.transport.write(decoded(order["base64"]))
        elif do == "drop":
            self.socket.transport.abort()


def deflates(deflate, factory, ours, theirs):
    """The extension, with the same settings for each side."""
    if not deflate:
        # An empty list would become an empty field, which the grammar does not allow (RFC 6455 9.1).
        return None
    bits = None if deflate["bits"] == 15 else deflate["bits"]
    settings = {f"{side}_no_context_takeover": not deflate["takeover"] for side in ("client", "server")}
    return [factory(**settings, **{ours: bits, theirs: bits})]


async def serve(order):
    async def live(socket):
        voice = Voice(int(socket.path.lstrip("/")), socket)
        if order["greeting"] is not None:
            await socket.send(order["greeting"])
        await voice.live()

    extensions = deflates(
        order["deflate"],
        permessage_deflate.ServerPerMessageDeflateFactory,
        "server_max_window_bits",
        "client_max_window_bits",
    )
    # By default it weighs the preferences of both sides, and chooses at random if they are equal.
    settings = dict(LIMITS, extensions=extensions, subprotocols=order["subprotocols"] or None, select_subprotocol=chosen)
    listening = await server.serve(live, "127.0.0.1", 0, **settings)
    tell(told="serving", port=listening.sockets[0].getsockname()[1])
    return listening


async def dial(order):
    extensions = deflates(
        order["deflate"],
        permessage_deflate.ClientPerMessageDeflateFactory,
        "server_max_window_bits",
        "client_max_window_bits",
    )
    settings = dict(LIMITS, extensions=extensions, subprotocols=order["subprotocols"] or None, open_timeout=3600)
    try:
        socket = await client.connect(order["url"], **settings)
    except Exception as error:
        tell(on=order["on"], told="closed", code=1006, reason=str(error), clean=False)
    else:
        await Voice(order["on"], socket).live()


async def main():
    kept = []
    tell(told="ready", version=version.version)
    async for order in orders():
        if order["do"] == "serve":
            kept.append(await serve(order))
        elif order["do"] == "dial":
            kept.append(asyncio.create_task(dial(order)))
        else:
            voices[order["on"]].waiting.put_nowait(order)


asyncio.run(main())
