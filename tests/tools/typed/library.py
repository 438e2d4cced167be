"""What docs/library.md shows of the library, as a type checker sees it."""

import time

import e4

key = bytes(32)
client = e4.Client(e4.id_of("alice"), key, e4.FileStore("alice.keys"), time.time)
sealed: bytes = client.protect_message(b"21.5 C", "sensors/lab")
message = client.unprotect(sealed, client.receiving_topic)
if message is not None:
    print(message.decode())
command: bytes = e4.protect(e4.commands.set_topic_key(key, "sensors/lab"), key, int(time.time()))
try:
    print(client.holds_key("a"), e4.unprotect(sealed, key, 0), e4.topic_hash("a").hex(), client.prove_key(key))
except (e4.NotAuthentic, e4.TopicKeyNotFound, e4.StoreError) as error:
    print(error)
e4.Client(e4.id_of("bob"), None, e4.MemoryStore(), time.time)
