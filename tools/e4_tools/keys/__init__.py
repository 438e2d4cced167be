"""Keys outside the key store: in files, and derived from passwords."""
