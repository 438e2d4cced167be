"""A client with everything around it that a test needs: its store, its clock, and a C2 that sends it commands."""

import e4
from helpers.portable.support import Clock, raises

ID = e4.id_of("board")
ID_KEY = bytes(range(1, 33))
KEY_A = b"a" * 32
KEY_B = b"b" * 32
KEY_C = b"c" * 32
TOPIC = "sensors/lab"


class Bench:
    """A client, its store and its clock. The bench itself plays C2."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.store = e4.MemoryStore()
        self.client = e4.Client(ID, ID_KEY, self.store, self.clock, **settings)
        self.id_key = ID_KEY

    def command(self, plain):
        """Send the client a command from C2, under the ID key that C2 uses, and return what the client returns."""
        payload = e4.protect(plain, self.id_key, self.clock.now)
        return self.client.unprotect(payload, self.client.receiving_topic)

    def records(self):
        return {name: self.store.get(name) for name in self.store.names()}

    def keys(self):
        """Return all records but `c`, which says which commands have been applied and so changes with each one."""
        return {name: record for name, record in self.records().items() if name != b"c"}

    def refused(self, error, payload, topic):
        """Check that the client refuses a payload with this error, and that its store does not change."""
        before = self.records()
        raises(error, self.client.unprotect, payload, topic)
        assert self.records() == before
