"""The key store: clients, topics, which client holds which keys, and which commands have yet to be sent.

It is a database in SQLite or PostgreSQL, in which every secret is encrypted.

- `key_store` opens and makes stores; `engine` knows about databases; `vault` encrypts the secrets.
- `reencryption` encrypts all of them anew when the store is relocked.
- `models` has the tables, and `finding` finds their rows by name.
- `outbox` records the commands that are to be sent, and `stamps` gives them their timestamps.
- `completion` lists names for a shell.
"""

from e4_tools.keystore.key_store import KeyStore, make_store, open_store, read_store, store_exists
from e4_tools.keystore.vault import KEY_FILE, LEAST_PASSPHRASE, PASSPHRASE

__all__ = [
    "KEY_FILE",
    "LEAST_PASSPHRASE",
    "PASSPHRASE",
    "KeyStore",
    "make_store",
    "open_store",
    "read_store",
    "store_exists",
]
