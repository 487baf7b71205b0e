"""The two apps that Flower runs: this suite's protocol, its server and its client."""

from zo_core.federation.flower.apps import client_app, server_app

server = server_app()
client = client_app()
