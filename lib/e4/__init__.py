"""E4 for MicroPython: end-to-end encryption of publish/subscribe messages, wire-compatible with the Go client.

client = e4.Client(e4.id_of("alice"), key, e4.FileStore("/e4.keys"), clock)
payload = client.protect_message(b"21.5 C", "sensors/lab")
message = client.unprotect(payload, topic)   # None if it was a command; it has then been applied
"""

# Each name has an alias, because that is how type checkers know that a name is ours to give away.
from e4 import commands as commands, sha3 as sha3, siv as siv
from e4.client import Client as Client
from e4.errors import *  # noqa: F403 (all errors; a list of their names would take room on a board)
from e4.filestore import FileStore as FileStore
from e4.names import id_of as id_of, receiving_topic as receiving_topic, topic_hash as topic_hash
from e4.protection import proof_of_key as proof_of_key, protect as protect, unprotect as unprotect
from e4.store import MemoryStore as MemoryStore
