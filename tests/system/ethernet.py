"""A host made of frames: the far end of QEMU's `-netdev dgram` on two unix sockets.

It needs no privilege, can speak from any address, and can lose, repeat and damage frames. It
answers ARP and neighbour solicitations for its own addresses and keeps the UDP datagrams, ICMP
echo replies and everything else that arrives, for a test to wait on.
"""

import ipaddress
import os
import random
import socket
import struct
import threading
import time

ETH_IPV4, ETH_ARP, ETH_IPV6 = 0x0800, 0x0806, 0x86DD
IP_ICMP, IP_UDP, IP_ICMPV6 = 1, 17, 58


def checksum(data):
    """The internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac_bytes(text):
    return bytes(int(part, 16) for part in text.split(":"))


def udp(src, dst, sport, dport, payload):
    """A UDP segment with its checksum over the pseudo header of either family."""
    source, target = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    length = 8 + len(payload)
    head = struct.pack("!HHHH", sport, dport, length, 0)
    if source.version == 4:
        pseudo = source.packed + target.packed + struct.pack("!BBH", 0, IP_UDP, length)
    else:
        pseudo = source.packed + target.packed + struct.pack("!I3xB", length, IP_UDP)
    value = checksum(pseudo + head + payload) or 0xFFFF
    return struct.pack("!HHHH", sport, dport, length, value) + payload


def ip(src, dst, protocol, payload, ident=0):
    """An IPv4 or IPv6 packet, by the family of its addresses."""
    source, target = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if source.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255)
        return head + source.packed + target.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, 0, 64, protocol, 0)
    head += source.packed + target.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def icmpv6(src, dst, kind, body):
    """An ICMPv6 message with its checksum (RFC 4443 2.3)."""
    message = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = (ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
              + struct.pack("!I3xB", len(message), IP_ICMPV6))
    value = checksum(pseudo + message)
    return message[:2] + struct.pack("!H", value) + message[4:]


class EthernetHost:
    """One host on the wire with the guest. `addresses` are its own, IPv4 and IPv6 mixed."""

    def __init__(self, folder, addresses, guest_mac="52:54:00:12:34:56"):
        self.mac = mac_bytes("02:00:00:00:00:01")
        self.guest_mac = mac_bytes(guest_mac)
        self.addresses = {ipaddress.ip_address(a) for a in addresses}
        self.local = os.path.join(folder, "host.sock")
        self.remote = os.path.join(folder, "guest.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.local)
        self.socket.settimeout(0.2)
        self.loss = self.duplication = 0.0
        self.random = random.Random(1)
        self.condition = threading.Condition()
        self.datagrams = []  # (src, sport, dst, dport, payload)
        self.echoes = []     # (src, identifier, sequence, payload)
        self.running = True
        self.thread = threading.Thread(target=self._receive, daemon=True)
        self.thread.start()

    def netdev(self):
        """The QEMU option that makes the guest's network card our neighbour."""
        return (f"dgram,id=net0,local.type=unix,local.path={self.remote},"
                f"remote.type=unix,remote.path={self.local}")

    def close(self):
        self.running = False
        self.thread.join()
        self.socket.close()

    # ---- sending ----------------------------------------------------------------------------

    def send_frame(self, frame):
        """Any bytes as one frame, past the loss that is switched on."""
        try:
            self.socket.sendto(frame, self.remote)
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # the guest has not opened its end yet, or is gone: as on a real wire

    def _lossy(self, frame):
        if self.random.random() < self.loss:
            return
        self.send_frame(frame)
        if self.random.random() < self.duplication:
            self.send_frame(frame)

    def _ethernet(self, kind, payload, destination=None):
        return (destination or self.guest_mac) + self.mac + struct.pack("!H", kind) + payload

    def send_ip(self, src, dst, protocol, payload):
        kind = ETH_IPV4 if ipaddress.ip_address(src).version == 4 else ETH_IPV6
        self._lossy(self._ethernet(kind, ip(src, dst, protocol, payload)))

    def send_udp(self, src, sport, dst, dport, payload):
        self.send_ip(src, dst, IP_UDP, udp(src, dst, sport, dport, payload))

    def ping(self, src, dst, identifier, sequence, payload):
        body = struct.pack("!HH", identifier, sequence) + payload
        if ipaddress.ip_address(src).version == 4:
            message = struct.pack("!BBH", 8, 0, 0) + body
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
            self.send_ip(src, dst, IP_ICMP, message)
        else:
            self.send_ip(src, dst, IP_ICMPV6, icmpv6(src, dst, 128, body))

    # ---- waiting ----------------------------------------------------------------------------

    def wait(self, predicate, timeout=5.0):
        """Waits until predicate() holds; its value, or None when time is up."""
        deadline = time.monotonic() + timeout
        with self.condition:
            while True:
                found = predicate()
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or not self.condition.wait(left):
                    return predicate() or None

    def take_datagram(self, dport, timeout=5.0):
        """The next datagram for our port: (src, sport, dst, dport, payload), or None."""
        def first():
            return next((d for d in self.datagrams if d[3] == dport), None)
        found = self.wait(first, timeout)
        if found:
            with self.condition:
                self.datagrams.remove(found)
        return found

    # ---- receiving --------------------------------------------------------------------------

    def _receive(self):
        while self.running:
            try:
                frame = self.socket.recv(65536)
            except socket.timeout:
                continue
            if self.random.random() < self.loss:
                continue
            try:
                self._handle(frame)
            except (struct.error, IndexError, ValueError):
                pass  # not a frame that this host understands

    def _handle(self, frame):
        kind = struct.unpack("!H", frame[12:14])[0]
        body = frame[14:]
        if kind == ETH_ARP:
            self._handle_arp(frame[6:12], body)
        elif kind == ETH_IPV4:
            header = (body[0] & 15) * 4
            total = struct.unpack("!H", body[2:4])[0]
            src, dst = ipaddress.ip_address(body[12:16]), ipaddress.ip_address(body[16:20])
            self._handle_transport(src, dst, body[9], body[header:total])
        elif kind == ETH_IPV6:
            length = struct.unpack("!H", body[4:6])[0]
            src, dst = ipaddress.ip_address(body[8:24]), ipaddress.ip_address(body[24:40])
            self._handle_transport(src, dst, body[6], body[40:40 + length])

    def _handle_arp(self, sender, body):
        operation, = struct.unpack("!H", body[6:8])
        wanted = ipaddress.ip_address(body[24:28])
        if operation == 1 and wanted in self.addresses:
            reply = body[:6] + struct.pack("!H", 2) + self.mac + wanted.packed + body[8:18]
            self.send_frame(self._ethernet(ETH_ARP, reply, sender))

    def _handle_transport(self, src, dst, protocol, payload):
        if protocol == IP_UDP:
            sport, dport, length = struct.unpack("!HHH", payload[:6])
            with self.condition:
                self.datagrams.append((str(src), sport, str(dst), dport, payload[8:length]))
                self.condition.notify_all()
        elif (protocol, payload[0]) in ((IP_ICMP, 0), (IP_ICMPV6, 129)):
            identifier, sequence = struct.unpack("!HH", payload[4:8])
            with self.condition:
                self.echoes.append((str(src), identifier, sequence, payload[8:]))
                self.condition.notify_all()
        elif (protocol, payload[0]) == (IP_ICMPV6, 135):  # neighbour solicitation, RFC 4861 4.3
            wanted = ipaddress.ip_address(payload[8:24])
            if wanted in self.addresses:
                answer_to = src if src != ipaddress.ip_address("::") else "ff02::1"
                body = struct.pack("!I", 0x60000000) + wanted.packed + b"\x02\x01" + self.mac
                message = icmpv6(wanted, answer_to, 136, body)
                packet = ip(wanted, answer_to, IP_ICMPV6, message)
                self.send_frame(self._ethernet(ETH_IPV6, packet))


class UdpBridge:
    """Lets an ordinary UDP client (skepctl) reach the guest over an EthernetHost.

    Listens on 127.0.0.1:port; each client gets a port of its own on the wire at `source`.
    """

    def __init__(self, host, source, guest, guest_port):
        self.host, self.source, self.guest, self.guest_port = host, source, guest, guest_port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.clients = {}  # wire port -> client address
        self.running = True
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self._out, self._back)]
        for thread in self.threads:
            thread.start()

    def _out(self):
        while self.running:
            try:
                payload, client = self.socket.recvfrom(65536)
            except socket.timeout:
                continue
            except ConnectionRefusedError:
                continue
            self.clients[client[1]] = client
            self.host.send_udp(self.source, client[1], self.guest, self.guest_port, payload)

    def _back(self):
        def for_us():
            return next((d for d in self.host.datagrams if d[3] in self.clients), None)
        while self.running:
            found = self.host.wait(for_us, 0.2)
            if found:
                with self.host.condition:
                    self.host.datagrams.remove(found)
                self.socket.sendto(found[4], self.clients[found[3]])

    def close(self):
        self.running = False
        for thread in self.threads:
            thread.join()
        self.socket.close()
