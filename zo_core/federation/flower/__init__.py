"""The protocol over Flower."""
