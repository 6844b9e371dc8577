"""What is stored in the journal, one repository for each kind of thing, over one database."""
