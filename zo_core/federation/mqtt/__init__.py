"""The protocol over MQTT: link, broker, security, loops."""
