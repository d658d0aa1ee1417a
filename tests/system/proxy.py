"""A UDP proxy between one client and a guest, which sees every datagram and may change it."""

import select
import socket
import threading


class UdpProxy:
    """Listens on 127.0.0.1:port. change(datagram, to_guest) gives the datagrams to send instead;
    without it they pass as they are. `requests` keeps what clients sent."""

    def __init__(self, guest_port, change=None):
        self.change = change
        self.requests = []
        self.client = None
        self.near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.near.bind(("127.0.0.1", 0))
        self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.connect(("127.0.0.1", guest_port))
        self.port = self.near.getsockname()[1]
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def send_to_guest(self, datagram):
        """From the address that the guest takes for the client's."""
        try:
            self.far.send(datagram)
        except ConnectionRefusedError:
            pass

    def _pass(self, datagram, to_guest):
        for changed in self.change(datagram, to_guest) if self.change else [datagram]:
            if to_guest:
                self.send_to_guest(changed)
            elif self.client:
                self.near.sendto(changed, self.client)

    def _run(self):
        while self.running:
            for ready in select.select([self.near, self.far], [], [], 0.2)[0]:
                try:
                    datagram, sender = ready.recvfrom(65536)
                except ConnectionRefusedError:
                    continue
                if ready is self.near:
                    self.client = sender
                    self.requests.append(datagram)
                self._pass(datagram, ready is self.near)

    def close(self):
        self.running = False
        self.thread.join()
        self.near.close()
        self.far.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
