"""Stores with one fault each.

The proof must find a loss with every one of them. If it found none, it would not show that the real store is right.
"""

import e4


class EffectFirst(e4.FileStore):
    """Writes the effect of a command first, and the evidence that it was applied in a second commit.

    A power cut between the two lets the command be applied again. The evidence is in the records whose names have one
    byte.
    """

    def commit(self, changes, clear=False):
        super().commit({name: record for name, record in changes.items() if len(name) > 1}, clear)
        super().commit({name: record for name, record in changes.items() if len(name) == 1})


class EvidenceFirst(e4.FileStore):
    """Writes the evidence that a command was applied first, and its effect in a second commit.

    After a power cut between the two, the client ignores the command that it has never carried out.
    """

    def commit(self, changes, clear=False):
        super().commit({name: record for name, record in changes.items() if len(name) == 1})
        kept = {name: self.get(name) for name in self.names() if len(name) == 1}
        kept.update({name: record for name, record in changes.items() if len(name) > 1})
        super().commit(kept, clear)


class MemoryFirst(e4.FileStore):
    """Answers with a change before it is in the flash.

    If writing fails, the running client uses keys that a restart would not find.
    """

    def __init__(self, path):
        super().__init__(path)
        self._believed = {}

    def get(self, name):
        return self._believed[name] if name in self._believed else super().get(name)

    def commit(self, changes, clear=False):
        if clear:
            self._believed = {name: None for name in self.names()}
        self._believed.update(changes)
        super().commit(changes, clear)


class NothingRedone(e4.FileStore):
    """Does not finish at boot what a power cut interrupted.

    The root file holds a change that was confirmed but not yet written to the files of its records. It is lost.
    """

    def _load(self):
        super()._load()
        self._changes = {}
