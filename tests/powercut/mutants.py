"""Stores with one fault each. The proof must notice every one of them, or it proves nothing."""

import e4


class EffectFirst(e4.FileStore):
    """Writes the effect of a command, and then the evidence that it has been applied (the record of a short name)."""

    def commit(self, changes, clear=False):
        super().commit({name: record for name, record in changes.items() if len(name) > 1}, clear)
        super().commit({name: record for name, record in changes.items() if len(name) == 1})


class EvidenceFirst(e4.FileStore):
    """The other way round."""

    def commit(self, changes, clear=False):
        super().commit({name: record for name, record in changes.items() if len(name) == 1})
        kept = {name: self.get(name) for name in self.names() if len(name) == 1}
        kept.update({name: record for name, record in changes.items() if len(name) > 1})
        super().commit(kept, clear)


class MemoryFirst(e4.FileStore):
    """Believes a change before the flash has it."""

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
    """Forgets at boot what a power cut left undone."""

    def _load(self):
        super()._load()
        self._changes = {}
