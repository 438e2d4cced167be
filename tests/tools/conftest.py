"""The fixtures that the tests of the host tools share with those of other folders."""

from helpers.fixtures import amqtt, deployed_image, keys, make_board, mosquitto, start_node

__all__ = ["amqtt", "deployed_image", "keys", "make_board", "mosquitto", "start_node"]
