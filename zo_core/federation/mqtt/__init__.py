"""The protocol over MQTT: connection, broker, security, loops."""
