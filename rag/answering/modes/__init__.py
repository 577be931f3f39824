"""What can be asked of models and documents: answer, chat, summarize, plan, route, compare."""
