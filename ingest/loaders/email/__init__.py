"""Mail: single messages, mailboxes, and Outlook's files."""

__all__ = ["loader", "mbox"]
