"""The cost of a whole training on a device, before it runs: hours, joules, bytes, memory."""
