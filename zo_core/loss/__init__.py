"""How a forward loss is had; each submodule imports its own framework."""
