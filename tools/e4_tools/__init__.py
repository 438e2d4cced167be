"""Host-side tools for E4 boards: key handling, deployment, tests and the virtual board."""
