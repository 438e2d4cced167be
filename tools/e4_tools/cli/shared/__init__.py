"""What commands share: their options, how they ask for secrets, reach the broker and the key store, and answer."""
