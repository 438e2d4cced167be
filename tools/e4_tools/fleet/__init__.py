"""A fleet: which clients there are, which topics each may read, how commands are sent, and how the host reads messages.

- `operations` and `rekeying` record what an operator wants in the key store, together with the commands that follow.
- `delivery` sends the recorded commands to the broker.
- `listing` reads what the key store knows.
- `messages` protects and unprotects messages on the host.
"""
