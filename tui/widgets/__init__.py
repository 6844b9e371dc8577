"""The widgets of the chat, one a file; each carries its own style."""
