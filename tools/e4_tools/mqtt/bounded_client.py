"""paho's MQTT client with limits, so that a broker can neither silence it nor fill the memory of this machine.

A broker may be an attacker. As it is, paho keeps a packet of up to 256 MB, any number of messages of QoS 2 whose
handshake the broker does not finish, and any number of answers that the broker does not read. And where it cannot parse
a packet, it raises an exception that ends its thread: the client then never hears anything again, and says nothing.
Here each of these ends the connection instead, and paho makes it again.

The methods that are overridden are private to paho, whose version is pinned. A test fails if they are not called.
"""

from __future__ import annotations

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

LARGEST_PACKET = 4 * 1024 * 1024  # bytes; boards take messages of up to 64 KiB
_MOST_UNFINISHED = 20  # messages of QoS 2 that have begun to arrive. We ask for QoS 1, but some brokers send QoS 2.
_LARGEST_UNFINISHED = 2 * LARGEST_PACKET  # bytes of these messages
_MOST_ANSWERS = 1000  # packets of ours that the broker has not taken yet
_QOS_2 = 0x04  # the bit of QoS 2 in the first byte of PUBLISH (MQTT 3.1.1 section 3.3.1)


class BoundedClient(mqtt.Client):
    """A client that ends the connection, and makes it again, when the broker breaks MQTT or exceeds a limit."""

    def __init__(self) -> None:
        super().__init__(CallbackAPIVersion.VERSION2)
        # How often a connection was ended because the broker broke MQTT or exceeded a limit.
        self.violations = 0
        # True once paho's thread has ended by an exception: nothing is sent or received any more.
        self.has_failed = False

    def _thread_main(self) -> None:
        """Run paho's thread. If an exception ends it, that must not go unnoticed."""
        try:
            super()._thread_main()
        except Exception:  # No cause is known. A traceback would help nobody who runs a command.
            self.has_failed = True

    def _sock_recv(self, bufsize: int) -> bytes:
        """Receive up to `bufsize` bytes. paho asks for one byte, or for all that are missing of a packet."""
        if bufsize > LARGEST_PACKET:
            self.violations += 1
            raise ConnectionError(f"a packet of more than {LARGEST_PACKET} bytes")
        return super()._sock_recv(bufsize)

    def _packet_handle(self) -> MQTTErrorCode:
        """Handle a packet that has arrived whole. An error lets paho end the connection."""
        if self._exceeds_limits():
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        try:
            return super()._packet_handle()
        except Exception:  # Whatever paho's parsers raise for a packet that is not as MQTT has it.
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _packet_read(self) -> MQTTErrorCode:
        """Read a packet, or a part of one, and handle it once it is whole."""
        result = super()._packet_read()
        if result == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self.violations += 1
        return result

    def _exceeds_limits(self) -> bool:
        if len(self._out_packet) > _MOST_ANSWERS:
            return True
        command = self._in_packet["command"]
        if command & 0xF0 != mqtt.PUBLISH or not command & _QOS_2:
            return False
        unfinished = list(self._in_messages.values())
        size = len(self._in_packet["packet"]) + sum(len(message.payload) for message in unfinished)
        return len(unfinished) >= _MOST_UNFINISHED or size > _LARGEST_UNFINISHED
