"""MQTT on the host: a connection to a broker, the authority behind its certificate, a broker for demonstrations, topics."""
