"""The decoder of wsproto: a line of JSON with the chunks that arrive, and one with what came out of them."""

import base64
import json
import sys

import wsproto
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Ping, Pong, TextMessage

NAMES = {Ping: "ping", Pong: "pong"}


def outcome(role, chunks):
    decoder = Connection(ConnectionType.SERVER if role == "server" else ConnectionType.CLIENT)
    events = []
    message = b""
    for chunk in chunks:
        decoder.receive_data(chunk)
        for event in decoder.events():
            if isinstance(event, CloseConnection):
                # What it fails for looks like a Close, but leaves its state as it was.
                if decoder.state is not ConnectionState.REMOTE_CLOSING:
                    return events, int(event.code), event.reason
                events.append(f"close {int(event.code)} {(event.reason or '').encode().hex()}")
                return events, None, None
            if type(event) in NAMES:
                events.append(f"{NAMES[type(event)]} {bytes(event.payload).hex()}")
                continue
            text = isinstance(event, TextMessage)
            message += event.data.encode() if text else event.data
            if event.message_finished:
                events.append(f"{'text' if text else 'binary'} {message.hex()}")
                message = b""
    return events, None, None


print(json.dumps({"version": wsproto.__version__}), flush=True)
for line in sys.stdin:
    given = json.loads(line)
    events, code, why = outcome(given["role"], [base64.b64decode(chunk) for chunk in given["chunks"]])
    print(json.dumps({"events": events, "code": code, "why": why}), flush=True)
