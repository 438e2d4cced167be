"""What several commands share: options, prompts for secrets, access to broker and key store, and how they answer."""
