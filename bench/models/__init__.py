"""Models by name: what a name means, and how it is loaded."""
