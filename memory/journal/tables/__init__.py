"""What is stored in the journal, one module for each kind of thing, over one database."""
