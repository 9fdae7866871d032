"""What the peers in Python share: orders come as lines of JSON on stdin, and what they are told goes out so on stdout."""

import asyncio
import base64
import json
import sys


def tell(**told):
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def heard(number, data):
    """Tells of a message: a str, or bytes."""
    if isinstance(data, str):
        tell(on=number, told="text", text=data)
    else:
        tell(on=number, told="binary", base64=encoded(data))


def encoded(data):
    return base64.b64encode(data).decode()


def decoded(text):
    return base64.b64decode(text)


async def orders():
    """Each order as it comes, until stdin ends."""
    reader = asyncio.StreamReader(limit=2**26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def chosen(offered, spoken):
    """The first of those spoken that is offered too."""
    return next((one for one in spoken if one in offered), None)
