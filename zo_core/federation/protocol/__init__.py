"""The round protocol as transport-free state machines of server and client."""
