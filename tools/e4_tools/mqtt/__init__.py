"""MQTT on the host: connecting to brokers and checking their certificates, starting brokers, and checking topics."""
