"""What each slash command does."""
