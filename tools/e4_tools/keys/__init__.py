"""Keys outside the key store: their size, random ones, key files, passwords, fingerprints."""
