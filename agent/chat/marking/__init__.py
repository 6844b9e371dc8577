"""Marking a reply: the text after `/diff`, which reply is meant, the receipt; and forgetting a mark."""
