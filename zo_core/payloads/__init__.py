"""The bodies of messages, and their encoding."""
