"""Making boards members of a fleet: their keys, their configuration, the proof of the key, and the factory's ledger."""
