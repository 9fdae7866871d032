"""Autobahn|Python as a client and as a server, as strict as it can be."""

import asyncio

from autobahn import __version__
from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from line import chosen, decoded, encoded, heard, orders, tell

voices = {}


class Voice:
    """One connection, beside the protocol class of its role."""

    number = None

    def onOpen(self):
        if self.number is None:
            self.number = int(self.http_request_path.lstrip("/"))
        voices[self.number] = self
        deflate = self._perMessageCompress
        tell(
            on=self.number,
            told="open",
            subprotocol=self.websocket_protocol_in_use or "",
            extensions=deflate.EXTENSION_NAME if deflate else "",
        )
        if self.factory.greeting is not None:
            self.sendMessage(self.factory.greeting.encode())

    def onMessage(self, payload, isBinary):
        heard(self.number, payload if isBinary else payload.decode())

    def onPing(self, payload):
        tell(on=self.number, told="ping", base64=encoded(payload))
        super().onPing(payload)

    def onPong(self, payload):
        tell(on=self.number, told="pong", base64=encoded(payload))

    def onClose(self, wasClean, code, reason):
        tell(on=self.number, told="closed", code=code, reason=reason or "", clean=wasClean)

    def obey(self, order):
        do = order["do"]
        if do == "text":
            self.sendMessage(order["text"].encode())
        elif do == "binary":
            self.sendMessage(decoded(order["base64"]), isBinary=True)
        elif do == "fragments":
            self.beginMessage(isBinary=order["type"] == "binary")
            for part in order["parts"]:
                self.sendMessageFrame(decoded(part))
            self.endMessage()
        elif do == "ping":
            self.sendPing(decoded(order["base64"]))
        elif do == "close":
            self.sendClose(order.get("code"), order.get("reason"))
        elif do == "raw":
            self.sendData(decoded(order["base64"]))
        elif do == "drop":
            self.dropConnection(abort=True)


class Client(Voice, WebSocketClientProtocol):
    pass


class Server(Voice, WebSocketServerProtocol):
    def onConnect(self, request):
        return chosen(request.protocols, self.factory.spoken)


STRICT = {
    "utf8validateIncoming": True,
    # It closes with a code, so that its opinion of the other side is known.
    "failByDrop": False,
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
}


def client(order):
    factory = WebSocketClientFactory(order["url"], protocols=order["subprotocols"])
    factory.greeting = None
    options = dict(STRICT, acceptMaskedServerFrames=False, maskClientFrames=True, serverConnectionDropTimeout=0)
    deflate = order["deflate"]
    if deflate:
        # The requested window of the other side. 15 bits is the default and is not requested.
        bits = 0 if deflate["bits"] == 15 else deflate["bits"]
        offer = PerMessageDeflateOffer(
            accept_no_context_takeover=not deflate["takeover"],
            accept_max_window_bits=True,
            request_max_window_bits=bits,
            request_no_context_takeover=not deflate["takeover"],
        )

        def accept(response):
            if isinstance(response, PerMessageDeflateResponse):
                return PerMessageDeflateResponseAccept(response)

        options.update(perMessageCompressionOffers=[offer], perMessageCompressionAccept=accept)
    factory.setProtocolOptions(**options)

    def build():
        protocol = Client()
        protocol.factory = factory
        protocol.number = order["on"]
        return protocol

    return build


def server(order):
    factory = WebSocketServerFactory()
    factory.protocol = Server
    factory.greeting = order["greeting"]
    factory.spoken = order["subprotocols"]
    options = dict(STRICT, requireMaskedClientFrames=True, maskServerFrames=False)
    deflate = order["deflate"]
    if deflate:
        bits = 0 if deflate["bits"] == 15 else deflate["bits"]

        def accept(offers):
            for offer in offers:
                if isinstance(offer, PerMessageDeflateOffer):
                    asked = bits if offer.accept_max_window_bits else 0
                    return PerMessageDeflateOfferAccept(
                        offer, request_no_context_takeover=not deflate["takeover"], request_max_window_bits=asked
                    )

        options.update(perMessageCompressionAccept=accept)
    factory.setProtocolOptions(**options)
    return factory


async def main():
    loop = asyncio.get_running_loop()
    tell(told="ready", version=__version__)
    async for order in orders():
        if order["do"] == "serve":
            listening = await loop.create_server(server(order), "127.0.0.1", 0)
            tell(told="serving", port=listening.sockets[0].getsockname()[1])
        elif order["do"] == "dial":
            await loop.create_connection(client(order), "127.0.0.1", order["port"])
        else:
            voices[order["on"]].obey(order)


asyncio.run(main())
