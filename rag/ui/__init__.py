"""The chat: Chainlit's hooks, pages and looks. It shows what the engine says and decides nothing itself."""
