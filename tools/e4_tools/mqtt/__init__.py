"""MQTT on the host: connections to brokers, certificates of their authorities, and topics."""
