"""A link between two machines, each of which it gives a TUN device: every packet passes here, and may be harmed on its way.

usage: link.py DEVICE_OF_THE_SERVER DEVICE_OF_THE_CLIENT SEED

Orders are lines of JSON on stdin. {"set": {...}, "to": "server" | "client" | null} changes what befalls the packets to one
machine, or to both; {} only asks. Each is answered, when it holds, by a line with what has been counted so far. For a kernel
without netem, by Python alone.

delay, jitter      milliseconds; packets keep their order
loss, duplicate, reorder, corrupt
                   probabilities; a packet that is reordered goes without delay, ahead of others; of one that is corrupted a bit
                   behind the addresses is turned
rate               kbit/s; 0 for as fast as it goes
longest            octets; a longer packet vanishes, and nobody is told, as where ICMP is filtered; 0 for any
forget             milliseconds of silence after which a flow of TCP is forgotten, as by a NAT: its packets vanish until a SYN
reject             each packet of TCP is answered with a reset, as by a firewall; the reset goes back, the packet does not pass
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x0001 | 0x1000
TCP, FIN, SYN, RST, ACK = 6, 1, 2, 4, 16

QUIET = {
    "delay": 0, "jitter": 0, "loss": 0, "duplicate": 0, "reorder": 0, "corrupt": 0,
    "rate": 0, "longest": 0, "forget": 0, "reject": False,
}


def device(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return fd


class Packet:
    """An IP packet, and where TCP is in it."""

    def __init__(self, octets):
        self.octets = octets
        self.six = octets[0] >> 4 == 6
        if self.six:
            self.tcp = 40 if octets[6] == TCP else None
            self.addresses = octets[8:24], octets[24:40]
        else:
            self.tcp = (octets[0] & 15) * 4 if octets[9] == TCP else None
            self.addresses = octets[12:16], octets[16:20]
        self.behind_addresses = 40 if self.six else 20

    def flow(self):
        """The same for both directions."""
        ports = self.octets[self.tcp:self.tcp + 2], self.octets[self.tcp + 2:self.tcp + 4]
        return frozenset(zip(self.addresses, ports))

    def flags(self):
        return self.octets[self.tcp + 13]

    def reset(self):
        """What a firewall answers to this packet: RFC 9293, 3.10.7.1, in the name of the one it was meant for."""
        tcp = self.tcp
        source, target, number, answered = struct.unpack_from("!HHII", self.octets, tcp)
        flags = self.flags()
        if flags & ACK:
            number, answered, flags = answered, 0, RST
        else:
            length = len(self.octets) - tcp - (self.octets[tcp + 12] >> 4) * 4
            answered = (number + length + bool(flags & SYN) + bool(flags & FIN)) & 0xFFFFFFFF
            number, flags = 0, RST | ACK
        segment = bytearray(struct.pack("!HHIIBBHHH", target, source, number, answered, 5 << 4, flags, 0, 0, 0))
        here, there = self.addresses
        pseudo = there + here + struct.pack("!HH", TCP, len(segment))
        struct.pack_into("!H", segment, 16, checksum(pseudo + segment))
        if self.six:
            return struct.pack("!IHBB", 6 << 28, len(segment), TCP, 64) + there + here + segment
        head = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, TCP, 0) + there + here)
        struct.pack_into("!H", head, 10, checksum(head))
        return bytes(head + segment)


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Way:
    """One direction: what befalls the packets that go there."""

    def __init__(self, link, fd, seed):
        self.link, self.fd, self.random = link, fd, random.Random(seed)
        self.back = None
        self.faults = dict(QUIET)
        self.free = self.latest = 0.0

    def take(self, octets, now):
        faults, chance, counts = self.faults, self.random.random, self.link.counts
        packet = Packet(octets)
        tcp = packet.tcp is not None
        if faults["longest"] and len(octets) > faults["longest"]:
            counts["tooLong"] += 1
        elif tcp and faults["forget"] and self.link.forgotten(packet, now, faults["forget"] / 1000):
            counts["forgotten"] += 1
        elif tcp and faults["reject"]:
            if not packet.flags() & RST:
                counts["rejected"] += 1
                self.back.send(packet.reset(), now)
        elif chance() < faults["loss"]:
            counts["lost"] += 1
        else:
            self.send(octets, now)
            if chance() < faults["duplicate"]:
                counts["duplicated"] += 1
                self.send(octets, now)

    def send(self, octets, now):
        faults, chance, counts = self.faults, self.random.random, self.link.counts
        at = now
        if faults["rate"]:
            at = self.free = max(now, self.free) + len(octets) * 8 / (faults["rate"] * 1000)
        if chance() < faults["reorder"]:
            counts["reordered"] += 1
        else:
            at += (faults["delay"] + self.random.uniform(-1, 1) * faults["jitter"]) / 1000
            at = self.latest = max(at, self.latest)
        if chance() < faults["corrupt"]:
            counts["corrupted"] += 1
            harmed = bytearray(octets)
            harmed[self.random.randrange(Packet(octets).behind_addresses, len(octets))] ^= 1 << self.random.randrange(8)
            octets = bytes(harmed)
        self.link.later(at, self.fd, octets)


class Link:
    def __init__(self, server, client, seed):
        self.counts = dict.fromkeys(
            ("passed", "lost", "duplicated", "reordered", "corrupted", "tooLong", "forgotten", "rejected"), 0)
        self.ways = {"server": Way(self, server, f"{seed} server"), "client": Way(self, client, f"{seed} client")}
        self.ways["server"].back, self.ways["client"].back = self.ways["client"], self.ways["server"]
        # Forwards packets from one device to the other.
        self.inputs = {server: self.ways["client"], client: self.ways["server"]}
        self.under_way = []
        self.number = 0
        self.flows = {}

    def forgotten(self, packet, now, patience):
        flow = packet.flow()
        known = packet.flags() & SYN or now - self.flows.get(flow, -patience) < patience
        if known:
            self.flows[flow] = now
        return not known

    def later(self, at, fd, octets):
        self.number += 1
        heapq.heappush(self.under_way, (at, self.number, fd, octets))

    def deliver(self):
        while self.under_way and self.under_way[0][0] <= time.monotonic():
            _, _, fd, octets = heapq.heappop(self.under_way)
            try:
                os.write(fd, octets)
                self.counts["passed"] += 1
            except OSError:
                # The device is down, or the corrupted data is no packet any more.
                self.counts["lost"] += 1

    def obey(self, line):
        order = json.loads(line)
        for side in [order["to"]] if order.get("to") else ["server", "client"]:
            self.ways[side].faults.update(order.get("set", {}))
        print(json.dumps(self.counts), flush=True)

    def run(self):
        poll = select.poll()
        for fd in (0, *self.inputs):
            poll.register(fd, select.POLLIN)
        orders = b""
        while True:
            self.deliver()
            wait = max(0, (self.under_way[0][0] - time.monotonic()) * 1000) if self.under_way else None
            for fd, _ in poll.poll(wait):
                if fd == 0:
                    said = os.read(0, 65536)
                    if not said:
                        return
                    *lines, orders = (orders + said).split(b"\n")
                    for line in lines:
                        self.obey(line)
                else:
                    self.carry(fd)

    def carry(self, fd):
        # A limited number at a time, so that orders and the other direction have their turn.
        for _ in range(64):
            try:
                octets = os.read(fd, 65536)
            except OSError:
                # No more packets, or the device is down.
                return
            self.inputs[fd].take(octets, time.monotonic())


link = Link(device(sys.argv[1]), device(sys.argv[2]), sys.argv[3])
print("{}", flush=True)
link.run()
