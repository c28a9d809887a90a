"""Tables with columns of all kinds: read into columns, each of which becomes a category, and written again."""
