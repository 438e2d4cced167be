"""A client on a test bench: its store, its clock, and the C2 that commands it."""

import e4
from helpers.portable.support import Clock, raises

ID = e4.id_of("board")
ID_KEY = bytes(range(1, 33))
KEY_A = b"a" * 32
KEY_B = b"b" * 32
KEY_C = b"c" * 32
TOPIC = "sensors/lab"


class Bench:
    """A client, its store and its clock, and the C2 that commands it."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.store = e4.MemoryStore()
        self.client = e4.Client(ID, ID_KEY, self.store, self.clock, **settings)
        self.id_key = ID_KEY

    def command(self, plain):
        payload = e4.protect(plain, self.id_key, self.clock.now)
        return self.client.unprotect(payload, self.client.receiving_topic)

    def records(self):
        return {name: self.store.get(name) for name in self.store.names()}

    def keys(self):
        """All records but the evidence that commands have been applied."""
        return {name: record for name, record in self.records().items() if name != b"c"}

    def refused(self, error, payload, topic):
        """The payload must be refused, and neither store nor client may have changed."""
        before = self.records()
        raises(error, self.client.unprotect, payload, topic)
        assert self.records() == before
