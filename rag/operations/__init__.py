"""Open, check, back up, restore, shut down; and one Backend, here or at the server that runs."""

__all__ = ["archive", "backend", "control_protocol", "doctor", "local_backend", "server_client", "services", "shutdown"]
