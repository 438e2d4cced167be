"""The key store: clients, topics, who holds which key, and what has yet to be sent. Its secrets are encrypted."""

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
