"""The whole stack in containers: `make compose-test`. Needs Docker, and takes minutes."""
